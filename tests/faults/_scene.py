"""Processes over one broker, their journals, and whoever does the damage."""

from __future__ import annotations

import asyncio
import functools
import itertools
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import msgspec

from busway import Bus

from ._broker import Broker, lease_of
from ._commits import Unread
from ._events import Event, innocent
from ._fleet import Faulty, Worker
from ._journal import Journal, Tail
from ._oracle import Expected, Verdict, Violation, judge
from ._proxy import Proxy
from ._record import Record
from ._settings import Settings

__all__ = ["PATIENCE", "Scene"]

PATIENCE = 60.0
"""Seconds that a process may take to start, or sockets to be closed."""


class Scene:
    """As long as its context lasts. Whatever happens in it, no process is left."""

    def __init__(
        self, broker: Broker, folder: Path, *, groups: tuple[str, ...] = ("alpha",), seed: int = 0
    ) -> None:
        self.broker = broker
        self.folder = folder
        self.groups = groups
        self.seed = seed
        self.lease = lease_of(broker.url)
        self.ordered = broker.ordered
        self.record = Record(groups)
        self.found: list[Violation] = []
        """What is wrong beside what the journals say."""
        self.sockets: dict[str, int | None] = {}
        """Connections to the server, by when they were counted."""
        self.workers: list[Worker] = []
        self._numbers = itertools.count()
        self._tail = Tail(folder)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        journal = self._stack.enter_context(Journal(self.folder / "chaos.journal", "chaos"))
        self.faulty = Faulty(journal)
        self._stack.push_async_callback(self._end_all)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        self.read()

    async def launch(self, role: str, name: str, **settings: object) -> Worker:
        """A process that is kept running; its connections go through proxies of its own, where
        there is a place for them."""
        url, proxies = self.broker.url, list[Proxy]()
        if role != "audit":
            number = next(self._numbers)
            for hop in self.broker.hops(number):
                proxies.append(await self._stack.enter_async_context(Proxy(*hop)))
            if proxies:
                url = self.broker.through(number, [each.port for each in proxies])
        told = {
            "role": role,
            "name": name,
            "url": url,
            "folder": str(self.folder),
            "seed": self.seed,
            "groups": self.groups,
            **settings,
        }
        worker = Worker(msgspec.convert(told, Settings), self.faulty, proxies)
        self.workers.append(worker)
        await worker.launch()
        return worker

    async def ready(self, *workers: Worker) -> None:
        await self.until(
            lambda: all(each.pid in self.record.ready for each in workers), "they are ready"
        )

    async def publish(self, events: Sequence[Event]) -> None:
        """From this process, one after another, straight to the broker."""
        path = self.folder / "scene.journal"
        bus = Bus(self.broker.url, service="faults", publish_only=True)
        with Journal(path, "scene") as journal:
            async with bus:
                for each in events:
                    journal.write("try", each.name)
                    await bus.publish(each.topic, each.data(), key=each.key)
                    journal.write("ok", each.name)
        self.read()

    async def audit(self) -> None:
        """Read the dead letters, and what the broker says is left."""
        worker = await self.launch("audit", "audit")
        worker.once()
        await worker.ended()
        self.read()

    async def look_at_commits(self, patience: float = 0.0) -> bool:
        """See that no group stands above what it has not finished. What it finished it wrote down
        before it said so; so it is asked first, and then the journals are read. False: nobody said
        it, for so many seconds."""
        commits = self.broker.commits
        until = time.monotonic() + patience
        while commits is not None:
            try:
                seen = await asyncio.to_thread(commits.look, self.groups)
            except Unread as error:
                if time.monotonic() < until:
                    continue
                if patience:
                    self.found.append(Violation("unread", str(error), ""))
                return False
            self.read()
            commits.ledger.add(seen.records)
            for group, far in seen.far.items():
                finished = functools.partial(self._finished, group)
                for place, offset, event in commits.ledger.unfinished(group, far, finished):
                    what = f"{group}: {place[0]}[{place[1]}] {offset}: {event} was not finished"
                    self.found.append(Violation("above", what, event))
            while commits.ledger.twice:
                place, offset, event = commits.ledger.twice.pop()
                what = f"{place[0]}[{place[1]}] {offset}: {event} was written before"
                self.found.append(Violation("twice", what, event))
            break
        return True

    def _finished(self, group: str, name: str) -> bool:
        """What is never handled is judged by the dead letters."""
        if not innocent(Event.parse(name).act):
            return True
        return any(each.end is not None for each in self.record.handled(group, name))

    async def end(self, *workers: Worker) -> None:
        """SIGTERM, and wait."""
        await asyncio.gather(*(each.end() for each in workers))
        self.read()

    def judge(self) -> Verdict:
        """What the oracle says of all that, and what was found beside it."""
        self.read()
        expected = Expected(self.lease, self.ordered, unsure=self.broker.unsure)
        verdict = judge(self.record, expected)
        verdict.violations.extend([*self.found, *self._left()])
        return verdict

    # --- looking ----------------------------------------------------------------------------------

    def read(self) -> None:
        while lines := list(self._tail.lines()):
            self.record.add_all(lines)

    def read_some(self) -> None:
        self.record.add_all(self._tail.lines())

    async def until(self, fact: Callable[[], bool], what: str) -> None:
        """Wait for it for as long as something happens, and then for a while."""
        last, since = -1, time.monotonic()
        while True:
            self.read()
            if fact():
                return
            happened = self.record.counts["end"]
            if happened != last:
                last, since = happened, time.monotonic()
            if time.monotonic() - since > PATIENCE + 8 * self.lease:
                self.found.append(Violation("stuck", f"not in time: {what}", ""))
                return
            await asyncio.sleep(0.05)

    async def until_handled(self) -> None:
        await self.until(lambda: not any(self.record.waiting.values()), "everything is handled")

    async def until_condemned(self) -> None:
        """What can never be handled is a dead letter."""
        limit = time.monotonic() + PATIENCE + 20 * self.lease
        while not self._condemned() and time.monotonic() < limit:
            await self.audit()

    async def count(self, when: str) -> None:
        self.sockets[when] = await asyncio.to_thread(self.broker.sockets)

    async def back_to(self, when: str) -> None:
        """The number of connections is what it was then."""
        limit = time.monotonic() + PATIENCE
        before, after = self.sockets[when], f"{when}, again"
        await self.count(after)
        while self.sockets[after] != before:
            if time.monotonic() > limit:
                what = f"{before} connections {when}, {self.sockets[after]} in the end"
                self.found.append(Violation("sockets", what, ""))
                return
            await asyncio.sleep(0.2)
            await self.count(after)

    def _condemned(self) -> bool:
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

    async def _end_all(self) -> None:
        for each in self.workers:
            each.once()
            each.send(signal.SIGKILL)
        for each in self.workers:
            await each.ended()
