"""One process of a fault run: ``python -m tests.faults.worker SETTINGS``, as JSON.

A producer publishes, a consumer handles, until SIGTERM. An audit writes down the dead letters and
what the broker knows of the groups, and ends.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import anyio
import msgspec

from busway import Backoff, Bus, MissingPower, Retry, TransportError
from busway.transport import Transport

from ._journal import Journal
from ._living import live
from ._producing import event_of
from ._settings import Settings

__all__ = ["audit", "bus_of", "main"]


def bus_of(settings: Settings, transport: Transport | None = None) -> Bus:
    """The bus of a worker: failing events are tried again quickly and in place."""
    return Bus(
        transport or settings.url,
        service="faults",
        retry=Retry(attempts=settings.attempts, backoff=Backoff(first=0.02, cap=0.2)),
        publish_timeout=settings.patience,
        max_in_flight=settings.room,
    )


async def audit(bus: Bus, journal: Journal, settings: Settings) -> None:
    """Read the dead letters of every group, and how much is left for it. A transport that cannot be
    read is a note."""
    try:
        for group in settings.groups:
            async for letter in bus.dead_letters(group):
                envelope = letter.envelope
                name = "raw/-/0/work" if envelope is None else event_of(envelope)
                journal.write("letter", group, name, letter.kind or "-")
        for state in await bus.groups():
            journal.write("group", state.name, state.lag, state.pending, state.members)
    except MissingPower as error:
        journal.write("note", *str(error).split())


async def main(settings: Settings) -> None:
    path = Path(settings.folder) / f"{settings.name}.journal"
    with Journal(path, settings.name) as journal:
        if settings.role != "audit":
            await live(lambda: bus_of(settings), journal, settings)
            return
        bus = bus_of(settings)
        while True:
            try:
                async with bus:
                    await audit(bus, journal, settings)
                return
            except TransportError as error:
                journal.write("note", "unaudited", type(error).__name__)
                await anyio.sleep(0.5)


if __name__ == "__main__":
    logging.basicConfig(
        level=os.environ.get("FAULTS_LOG", "WARNING"),
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
    )
    anyio.run(main, msgspec.json.decode(sys.argv[1], type=Settings))
