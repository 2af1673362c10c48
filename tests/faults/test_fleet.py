"""Processes that are killed, stopped and ended, and what stands in the journals then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults._fleet import Faulty, Worker
from tests.faults._journal import Journal, Tail
from tests.faults._record import Record
from tests.faults._settings import Settings

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


class Fleet:
    """One worker that publishes to nobody."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        settings = Settings(
            role="producer", name="worker", url="null://", folder=str(folder), keys=2, rate=200.0
        )
        self.worker = Worker(settings, Faulty(journal))
        self.record = Record(settings.groups)
        self._tail = Tail(folder)

    async def until(self, fact: Callable[[Record], bool]) -> Record:
        async with asyncio.timeout(PATIENCE):
            while True:
                self.record.add_all(self._tail.lines())
                if fact(self.record):
                    return self.record
                await asyncio.sleep(0.01)

    async def publishing(self) -> int:
        """Its pid, once it publishes."""
        pid = self.worker.pid
        assert pid is not None
        await self.until(lambda record: pid in record.ready)
        before = self.record.published
        await self.until(lambda record: record.published > before)
        return pid


@asynccontextmanager
async def fleet(folder: Path) -> AsyncGenerator[Fleet]:
    with Journal(folder / "chaos.journal", "chaos") as journal:
        found = Fleet(folder, journal)
        await found.worker.launch()
        try:
            yield found
        finally:
            found.worker.once()
            found.worker.send(signal.SIGKILL)
            await found.worker.ended()


async def test_what_was_killed_is_replaced_under_its_name(tmp_path: Path) -> None:
    async with fleet(tmp_path) as town:
        first = await town.publishing()
        town.worker.kill()
        await town.until(lambda record: bool(record.exits))
        assert town.record.exits == [("worker", first, -9)]
        assert [(each.kind, each.pid) for each in town.record.faults] == [("kill", first)]
        await town.until(lambda record: len(record.ready) == 2)
        assert await town.publishing() != first
        await town.worker.end()
        record = await town.until(lambda record: len(record.exits) == 2)
        assert record.exits[1][2] == 0
        (last,) = [each for each in record.census.values() if each.after is not None]
        assert last.after == last.before


async def test_a_process_that_killed_itself_is_told_from_one_that_was_killed(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path) as town:
        os.kill(await town.publishing(), signal.SIGKILL)
        record = await town.until(lambda record: bool(record.exits))
        assert [each.kind for each in record.faults] == ["poison"]


async def test_what_was_stopped_knows_that_it_stood_still(tmp_path: Path) -> None:
    async with fleet(tmp_path) as town:
        pid = await town.publishing()
        await town.worker.stop(0.9)
        record = await town.until(lambda record: len(record.faults) == 2)
        stop, lag = record.faults
        assert (stop.kind, lag.kind, lag.pid) == ("stop", "lag", pid)
        assert lag.begin < stop.end
        assert stop.end - stop.begin >= 0.9
        assert await town.publishing() == pid


async def test_a_worker_whose_setting_is_wrong_is_seen_to_end(tmp_path: Path) -> None:
    with Journal(tmp_path / "chaos.journal", "chaos") as journal:
        settings = Settings(role="producer", name="w", url="nothing://", folder=str(tmp_path))
        worker = Worker(settings, Faulty(journal))
        worker.once()
        await worker.launch()
        await worker.ended()
    record = Record(settings.groups)
    record.add_all(Tail(tmp_path).lines())
    assert [status for _, _, status in record.exits] == [1]
    assert "UnknownTransport" in (tmp_path / "w.log").read_text()
