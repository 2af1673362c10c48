"""One long fault run, from the first process to the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._broker import Broker
from ._fleet import Worker
from ._oracle import Verdict
from ._record import Record
from ._scene import PATIENCE, Scene
from ._schedule import Planned, schedule

__all__ = ["Options", "Outcome", "Run"]

SAID_EVERY = 30.0
LOOKED_EVERY = 10.0


@dataclass(frozen=True)
class Options:
    """How large a run is."""

    seconds: float
    """For how long things go wrong."""
    seed: int
    producers: int = 3
    consumers: int = 5
    rate: float = 450.0
    """Events a second, of all producers."""
    work: float = 0.005
    """Seconds that a handler takes on average. What a killed process had fetched is tried alone,
    one after another, so slow handlers make a long queue of it."""
    every: float = 4.0
    """Seconds between faults."""
    groups: tuple[str, ...] = ("alpha", "beta")
    fail: float = 0.01
    """The share of events that fail once; of those that always fail; of those that kill."""
    doom: float = 0.001
    poison: float = 0.0
    visitors: int = 0
    """Consumers that come and go, each about once a second."""


@dataclass
class Outcome:
    """What a run ended with."""

    record: Record
    verdict: Verdict
    planned: list[Planned]
    lease: float
    ordered: bool
    sockets: dict[str, int | None]
    """Connections to the server, by when they were counted."""
    drained: float
    """Seconds from the end of publishing until everything was handled."""
    commits: tuple[int, int] | None = None
    """How often it was seen how far the groups were, and how many records that passed."""


class Run:
    """Producers and consumers, and a schedule of faults."""

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        options: Options,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._options = options
        self._say = say
        self._scene = Scene(broker, folder, groups=options.groups, seed=options.seed)
        self._consumers: list[Worker] = []
        self._producers: list[Worker] = []
        self._visitors: list[Worker] = []
        self._restarting = asyncio.Lock()
        self.looked = 0

    async def carry_out(self) -> Outcome:
        """Everything, in its order."""
        options, scene = self._options, self._scene
        planned = schedule(
            options.seed,
            options.seconds,
            scene.lease,
            deck=scene.broker.deck,
            details=scene.broker.details,
            every=options.every,
        )
        async with scene:
            await scene.count("before")
            await self._begin()
            await self._wreak(planned)
            await scene.end(*self._producers, *self._visitors)
            begin = time.monotonic()
            await scene.until_handled()
            await scene.until_condemned()
            drained = time.monotonic() - begin
            await scene.back_to("at rest")
            await scene.end(*self._consumers)
            await scene.back_to("before")
            await scene.look_at_commits(PATIENCE)
            await scene.audit()
        commits = scene.broker.commits
        return Outcome(
            scene.record,
            scene.judge(),
            planned,
            scene.lease,
            scene.ordered,
            scene.sockets,
            drained,
            None if commits is None else (self.looked + 1, commits.ledger.passed),
        )

    async def _begin(self) -> None:
        """The connections are counted when every channel is there, and every consumer has what it
        needs to read it."""
        options, scene = self._options, self._scene
        for number in range(1, options.consumers + 1):
            self._consumers.append(
                await scene.launch("consumer", f"consumer-{number}", work=options.work)
            )
        await scene.ready(*self._consumers)
        first = await scene.launch("producer", "warm-up", keys=2, rate=100.0)
        await scene.until(lambda: scene.record.published >= 50, "the first events")
        await scene.end(first)
        await scene.until_handled()
        await scene.count("at rest")
        for number in range(1, options.producers + 1):
            producer = await scene.launch(
                "producer",
                f"producer-{number}",
                rate=options.rate / options.producers,
                fail=options.fail,
                doom=options.doom,
                poison=options.poison,
            )
            self._producers.append(producer)
        for number in range(1, options.visitors + 1):
            visitor = await scene.launch("visitor", f"visitor-{number}", work=options.work)
            self._visitors.append(visitor)
        await scene.ready(*self._producers)

    async def _wreak(self, planned: Sequence[Planned]) -> None:
        begin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(self._follow()), tasks.create_task(self._audit())]
            async with asyncio.TaskGroup() as faults:
                for each in planned:
                    await asyncio.sleep(max(0.0, begin + each.at - time.monotonic()))
                    faults.create_task(self._do(each))
                await asyncio.sleep(max(0.0, begin + self._options.seconds - time.monotonic()))
            for task in following:
                task.cancel()

    async def _do(self, planned: Planned) -> None:
        # The network fails for publishers, too; what stands still or dies is mostly a consumer.
        consumer = _pick(self._consumers, planned)
        anybody = _pick([*self._consumers, *self._producers], planned)
        match planned.kind:
            case "kill":
                consumer.kill()
            case "massacre":
                for each in self._consumers:
                    each.kill()
            case "kill-producer":
                _pick(self._producers, planned).kill()
            case "term":
                consumer.terminate()
            case "stop":
                await consumer.stop(planned.lasts)
            case "cut":
                anybody.cut()
            case "stall":
                await anybody.stall(planned.lasts)
            case "restart":
                await self._at_the_server(
                    "restart", self._scene.broker.restart, planned.lasts, planned.detail
                )
            case "roll":
                await self._at_the_server("roll", self._scene.broker.roll)

    async def _at_the_server(self, kind: str, act: Callable[..., None], *arguments: object) -> None:
        """One after another: there is never more of it away than one."""
        async with self._restarting:
            with self._scene.faulty.during(kind, "server", None):
                await asyncio.to_thread(act, *arguments)

    async def _audit(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_EVERY)
            self.looked += await self._scene.look_at_commits()

    async def _follow(self) -> None:
        """Read the journals while they are written, and say how it goes."""
        said = time.monotonic()
        record = self._scene.record
        while True:
            await asyncio.sleep(0.5)
            self._scene.read_some()
            if time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                waiting = sum(map(len, record.waiting.values()))
                self._say(
                    f"{record.published:,} published, {record.counts['end']:,} handled, "
                    f"{waiting:,} wait, {record.counts['begin']:,} faults"
                )


def _pick(workers: Sequence[Worker], planned: Planned) -> Worker:
    return workers[int(planned.pick * len(workers))]
