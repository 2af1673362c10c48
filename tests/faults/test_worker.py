"""Workers in this process, over the memory transport: what they write is what happened."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from busway import Bus
from busway.memory import MemoryTransport
from busway.testing import Flaky
from tests.faults._consuming import Consuming
from tests.faults._journal import Journal, Tail
from tests.faults._oracle import Expected, Verdict, judge
from tests.faults._producing import Producing
from tests.faults._record import Record
from tests.faults._settings import Settings
from tests.faults.worker import audit, bus_of

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Town:
    """A bus, its journal, and what the oracle says in the end."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.settings = Settings(
            role="producer", name="town", url="", folder=str(folder), groups=("alpha", "beta"),
            keys=6, rate=0.0, count=40, work=0.0, **options,
        )  # fmt: skip
        self.transport = Flaky(MemoryTransport(codec="json", history=10_000))
        self.record = Record(self.settings.groups)

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[tuple[Bus, Journal]]:
        bus = bus_of(self.settings, self.transport)
        path = Path(self.settings.folder) / "town.journal"
        with Journal(path, "town") as journal:
            Consuming(journal, self.settings).subscribe(bus)
            async with bus:
                yield bus, journal

    async def run(self) -> Verdict:
        """Publish everything, handle everything, and look."""
        async with self.up() as (bus, journal):
            await Producing(bus, journal, self.settings).run()
            await bus.drain(timeout=PATIENCE)
            await audit(bus, journal, self.settings)
        self.record.add_all(Tail(Path(self.settings.folder)).lines())
        return judge(self.record, Expected(lease=1.0, ordered=True))


async def test_a_run_without_faults_keeps_every_promise(tmp_path: Path) -> None:
    town = Town(tmp_path)
    found = await town.run()
    assert found.violations == []
    assert town.record.published == 6 * 40
    assert town.record.counts["end"] == 2 * 6 * 40
    assert (found.repeats.total, town.record.counts["left"]) == (0, 0)


async def test_what_fails_is_handled_and_what_is_doomed_is_a_dead_letter(tmp_path: Path) -> None:
    town = Town(tmp_path, fail=0.1, doom=0.05)
    found = await town.run()
    assert found.violations == []
    doomed = {name for name in town.record.outcomes if name.endswith("/doom")}
    assert doomed
    assert {group: set(town.record.letters[group]) for group in ("alpha", "beta")} == {
        "alpha": doomed,
        "beta": doomed,
    }


async def test_what_a_publisher_was_told_is_what_it_writes(tmp_path: Path) -> None:
    town = Town(tmp_path)
    # More than are ever published together: where outcomes differ, the whole is unknown.
    town.transport.fail("send", times=12)
    town.transport.fail("send", times=12, how="lost")
    town.transport.fail("send", times=12, how="unanswered")
    assert (await town.run()).violations == []
    outcomes = town.record.outcomes
    assert set(outcomes.values()) == {"ok", "failed", "unknown"}
    unknown = {name for name, outcome in outcomes.items() if outcome == "unknown"}
    handled = {name for name in unknown if town.record.handled("alpha", name)}
    assert handled, "what was not answered arrived"
    assert unknown - handled, "what was lost did not"


async def test_an_event_that_a_transport_loses_is_found(tmp_path: Path) -> None:
    """It says that it has it, and has not."""
    town = Town(tmp_path)
    async with town.up() as (_, journal), Bus("null://", service="faults") as forgets:
        await Producing(forgets, journal, town.settings).run()
    town.record.add_all(Tail(tmp_path).lines())
    found = judge(town.record, Expected(lease=1.0))
    assert {each.kind for each in found.violations} == {"lost"}
    assert len(found.violations) == 2 * 6 * 40
