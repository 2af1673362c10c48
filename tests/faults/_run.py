"""One fault run, from the first process to the verdict."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ._broker import Broker, behind, lease_of, shards_of, target_of
from ._events import Event, innocent
from ._fleet import Faulty, Worker
from ._journal import Journal, Tail
from ._oracle import Expected, Verdict, Violation, judge
from ._proxy import Proxy
from ._record import Record
from ._schedule import Planned, schedule
from ._settings import Settings

__all__ = ["Options", "Outcome", "Run"]

PATIENCE = 60.0
"""Seconds that a process may take to start, or sockets to be closed."""


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
    every: float = 4.0
    """Seconds between faults."""
    groups: tuple[str, ...] = ("alpha", "beta")
    fail: float = 0.01
    doom: float = 0.001
    poison: float = 0.0


@dataclass
class Outcome:
    """What a run ended with."""

    record: Record
    verdict: Verdict
    planned: list[Planned]
    lease: float
    ordered: bool
    sockets: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    """Connections to the server, by when they were counted."""
    drained: float = 0.0
    """Seconds from the end of publishing until everything was handled."""


class Run:
    """Processes, faults, journals."""

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        options: Options,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._folder = folder
        self._options = options
        self._say = say
        self.lease = lease_of(broker.url)
        self.record = Record(options.groups)
        self._tail = Tail(folder)
        self._found: list[Violation] = []
        self._sockets: dict[str, int | None] = {}
        self._workers: list[Worker] = []

    async def carry_out(self) -> Outcome:
        """Everything, in its order."""
        options, target = self._options, target_of(self._broker.url)
        planned = schedule(
            options.seed, options.seconds, self.lease,
            network=target is not None, server=self._broker.restarts, every=options.every,
        )  # fmt: skip
        async with AsyncExitStack() as stack:
            faulty = Faulty(stack.enter_context(Journal(self._folder / "chaos.journal", "chaos")))
            stack.push_async_callback(self._end_all)
            await self._count("before")
            consumers = await self._launch("consumer", options.consumers, faulty, stack)
            await self._warm_up(faulty, stack)
            await self._count("at rest")
            producers = await self._launch("producer", options.producers, faulty, stack)
            await self._wreak(planned, producers, consumers, faulty)
            drained = await self._drain(producers, faulty, stack)
            await self._back_to("at rest")
            await asyncio.gather(*(each.end() for each in consumers))
            await self._back_to("before")
            await self._audit(faulty, stack)
        self._read()
        ordered = shards_of(self._broker.url) > 1
        verdict = judge(self.record, Expected(self.lease, ordered))
        verdict.violations.extend([*self._found, *self._left()])
        return Outcome(
            self.record, verdict, planned, self.lease, ordered, self._sockets, drained
        )  # fmt: skip

    # --- processes --------------------------------------------------------------------------------

    async def _launch(
        self, role: str, count: int, faulty: Faulty, stack: AsyncExitStack
    ) -> list[Worker]:
        """So many of them, ready."""
        workers = [
            await self._worker(f"{role}-{number}", role, faulty, stack)
            for number in range(1, count + 1)
        ]
        for each in workers:
            await each.launch()
        await self._until(
            lambda: all(each.pid in self.record.ready for each in workers), f"{role}s are ready"
        )
        return workers

    async def _worker(
        self, name: str, role: str, faulty: Faulty, stack: AsyncExitStack, **changes: object
    ) -> Worker:
        options, url, proxy = self._options, self._broker.url, None
        target = target_of(url)
        if target is not None and role != "audit":
            proxy = await stack.enter_async_context(Proxy(*target))
            url = behind(url, proxy.port)
        told = {
            "role": role,
            "name": name,
            "url": url,
            "folder": str(self._folder),
            "seed": options.seed,
            "groups": options.groups,
            "rate": options.rate / options.producers,
            "fail": options.fail,
            "doom": options.doom,
            "poison": options.poison,
            **changes,
        }
        worker = Worker(msgspec.convert(told, Settings), faulty, proxy)
        self._workers.append(worker)
        return worker

    async def _warm_up(self, faulty: Faulty, stack: AsyncExitStack) -> None:
        """Every channel is there, and every consumer has what it needs to read it."""
        first = await self._worker("warm-up", "producer", faulty, stack, keys=2, doom=0.0, poison=0)
        await first.launch()
        await self._until(lambda: self.record.published >= 50, "the first events")
        await first.end()
        await self._until(self._handled, "the first events are handled")

    async def _audit(self, faulty: Faulty, stack: AsyncExitStack) -> None:
        worker = await self._worker("audit", "audit", faulty, stack)
        worker.once()
        await worker.launch()
        await worker.ended()
        self._read()

    async def _end_all(self) -> None:
        """Whatever happened here, no process is left."""
        for each in self._workers:
            each.once()
            each.send(signal.SIGKILL)
        for each in self._workers:
            await each.ended()

    # --- faults -----------------------------------------------------------------------------------

    async def _wreak(
        self,
        planned: Sequence[Planned],
        producers: Sequence[Worker],
        consumers: Sequence[Worker],
        faulty: Faulty,
    ) -> None:
        begin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow())
            async with asyncio.TaskGroup() as faults:
                for each in planned:
                    await asyncio.sleep(max(0.0, begin + each.at - time.monotonic()))
                    faults.create_task(self._do(each, producers, consumers, faulty))
                await asyncio.sleep(max(0.0, begin + self._options.seconds - time.monotonic()))
            following.cancel()

    async def _do(
        self,
        planned: Planned,
        producers: Sequence[Worker],
        consumers: Sequence[Worker],
        faulty: Faulty,
    ) -> None:
        # The network fails for publishers, too; what stands still or dies is mostly a consumer.
        everybody = [*consumers, *producers]
        place = planned.pick
        consumer = consumers[int(place * len(consumers))]
        anybody = everybody[int(place * len(everybody))]
        match planned.kind:
            case "kill":
                consumer.kill()
            case "massacre":
                for each in consumers:
                    each.kill()
            case "kill-producer":
                producers[int(place * len(producers))].kill()
            case "term":
                consumer.terminate()
            case "stop":
                await consumer.stop(planned.lasts)
            case "cut":
                anybody.cut()
            case "stall":
                await anybody.stall(planned.lasts)
            case "restart":
                with faulty.during("restart", "server", None):
                    restart = self._broker.restart
                    await asyncio.to_thread(restart, planned.lasts, planned.detail)

    # --- the end ----------------------------------------------------------------------------------

    async def _drain(
        self, producers: Sequence[Worker], faulty: Faulty, stack: AsyncExitStack
    ) -> float:
        """Publish no more, and wait until nothing new is handled any more; seconds."""
        await asyncio.gather(*(each.end() for each in producers))
        begin = time.monotonic()
        await self._until(self._handled, "everything is handled")
        while not self._condemned():
            await self._audit(faulty, stack)
            if time.monotonic() - begin > PATIENCE + 20 * self.lease:
                break
        return time.monotonic() - begin

    def _handled(self) -> bool:
        return not any(self.record.waiting.values())

    def _condemned(self) -> bool:
        """Whether everything that cannot be handled is a dead letter."""
        return all(
            innocent(Event.parse(name).act) or outcome != "ok" or name in letters
            for letters in self.record.letters.values()
            for name, outcome in self.record.outcomes.items()
        )

    def _left(self) -> list[Violation]:
        return [
            Violation("left", f"{group}: {left} in the end", group)
            for group, left in self.record.left.items()
            if not left.startswith(("0 wait, 0 are", "None wait, 0 are", "None wait, None are"))
        ]

    # --- looking ----------------------------------------------------------------------------------

    def _read(self) -> None:
        while lines := list(self._tail.lines()):
            self.record.add_all(lines)

    async def _follow(self) -> None:
        said = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            self.record.add_all(self._tail.lines())
            if time.monotonic() - said > 30:
                said = time.monotonic()
                counts = self.record.counts
                waiting = sum(map(len, self.record.waiting.values()))
                self._say(
                    f"{counts['ok']:,} published, {counts['end']:,} handled, {waiting:,} wait, "
                    f"{counts['begin']:,} faults"
                )

    async def _until(self, fact: Callable[[], bool], what: str) -> None:
        """Wait for it for as long as something happens, and then for a while."""
        last, since = -1, time.monotonic()
        while True:
            self._read()
            if fact():
                return
            happened = self.record.counts["end"]
            if happened != last:
                last, since = happened, time.monotonic()
            if time.monotonic() - since > PATIENCE + 8 * self.lease:
                self._found.append(Violation("stuck", f"not in time: {what}", ""))
                return
            await asyncio.sleep(0.1)

    async def _count(self, when: str) -> None:
        self._sockets[when] = await asyncio.to_thread(self._broker.sockets)

    async def _back_to(self, when: str) -> None:
        """The number of connections is what it was then."""
        limit = time.monotonic() + PATIENCE
        before, after = self._sockets[when], f"{when}, again"
        await self._count(after)
        while self._sockets[after] != before:
            if time.monotonic() > limit:
                what = f"{before} connections {when}, {self._sockets[after]} in the end"
                self._found.append(Violation("sockets", what, ""))
                return
            await asyncio.sleep(0.2)
            await self._count(after)
