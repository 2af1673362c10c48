"""Writing: idempotent, confirmed by all replicas in sync, in batches that are built while another
is on its way.

For each broker one request at a time is under way, with one batch at most for each partition in it;
what is published meanwhile goes with the next. A batch has its number (Kafka's sequence), and is
sent with the same one until a broker has said what became of it: so that it is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from busway import TransportError
from busway.transport import Outcome

from ._batch import Batch, Entry
from ._client import Client
from ._deadlines import Deadlines
from ._errors import NotSent, Refused, checked

__all__ = ["Producer"]

_log = logging.getLogger("busway.kafka")

_LANE = "produce"
# None is what the protocol has; aiokafka's types have not.
_NO_TRANSACTION: Any = None
_BACKOFF = (0.02, 0.05, 0.1, 0.2, 0.4)
# Rejected before anything was appended, and by nobody's fault for long.
_NOT_APPENDED = frozenset({19})
# Appended perhaps. Who is no leader any more may have been one when it came, and the next one has
# what the followers had fetched by then.
_PERHAPS = frozenset({3, 5, 6, 7, 9, 13, 20, 56, 74, 75, 76})
_ALREADY_THERE = 46
_TOO_LARGE = 10
# The broker does not know this producer, or not at this number: begin anew as another one.
_FORGOTTEN = frozenset({45, 47, 59, 90})


class _Partition:
    """What is to be written to one partition, in order."""

    __slots__ = ("batch", "identity", "number", "sequence", "single", "topic", "waiting")

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.waiting: deque[Entry] = deque()
        self.batch: Batch | None = None
        """Sent, or to be sent again."""
        self.identity: tuple[int, int] | None = None
        self.sequence = 0
        self.single = 0
        """How many are to go one by one: together they were too large."""


class Producer:
    """Of one transport. ``compression`` is Kafka's number for it."""

    def __init__(self, client: Client, compression: int = 0, batch_size: int = 524_288) -> None:
        self._client = client
        self._compression = compression
        self._batch_size = batch_size
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._ready: dict[tuple[str, int], None] = {}
        """Those that have something to send and are not on their way, in order."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._router: asyncio.Task[None] | None = None
        self._identity: tuple[int, int] | None = None
        self._deadlines = Deadlines()
        self.counters = {"resent_batches": 0, "producers_replaced": 0}

    async def close(self) -> None:
        """What is under way is left alone: who waited for it has been told."""
        tasks = [task for task in (*self._tasks.values(), self._router) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for partition in self._partitions.values():
            for entry in (*partition.waiting, *(partition.batch or ())):
                entry.fail(TransportError("the transport was closed"))
        self._partitions.clear()
        self._ready.clear()
        self._identity = None

    async def write(self, entries: Sequence[Entry], until: float) -> Sequence[Outcome]:
        """What became of each, by ``until`` (of ``time.monotonic``)."""
        waiting = self._deadlines.future(until)
        if len(entries) == 1:
            entries[0].told = waiting.tell
        else:
            waiting.left = len(entries)
            for entry in entries:
                entry.told = waiting.tell
        for entry in entries:
            self._put(entry)
        try:
            await waiting.future
        finally:
            for entry in entries:
                if entry.outcome is None:
                    entry.give_up()
        return [_of(entry) for entry in entries]

    def _put(self, entry: Entry) -> None:
        where = entry.topic, entry.partition
        partition = self._partitions.get(where)
        if partition is None:
            partition = self._partitions[where] = _Partition(*where)
        partition.waiting.append(entry)
        if partition.batch is None:
            self._ready[where] = None
        if self._router is None:
            # It runs when this turn of the loop is over: all that is published in it goes together.
            self._router = asyncio.create_task(self._route())

    # --- which broker

    async def _route(self) -> None:
        """Hand what is ready to the brokers' own tasks."""
        tries = 0
        while self._ready:
            lost = False
            for where in list(self._ready):
                node = self._client.leader(*where)
                if node is None:
                    lost = True
                elif node not in self._tasks:
                    self._tasks[node] = asyncio.create_task(self._send_to(node))
            if not lost:
                break
            await self._look_for_leaders(tries)
            tries += 1
        self._router = None

    async def _look_for_leaders(self, tries: int) -> None:
        if tries:
            await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF)) - 1])
        try:
            await self._client.refresh()
        except TransportError as error:
            for where in self._ready:
                for entry in self._partitions[where].waiting:
                    entry.problem = error
        self._drop_given_up()

    def _drop_given_up(self) -> None:
        for where in list(self._ready):
            partition = self._partitions[where]
            if partition.batch is not None and partition.batch.given_up:
                self._abandon(partition)
            while partition.waiting and partition.waiting[0].outcome is not None:
                partition.waiting.popleft()
            if partition.batch is None and not partition.waiting:
                del self._ready[where]

    def _abandon(self, partition: _Partition) -> None:
        """Nobody waits for it any more, and nobody knows what became of it: its number is spent.

        As the same producer the partition would begin at 0 again, and a broker would take what is
        new for what it has.
        """
        if self._identity == partition.identity:
            self._identity = None
        partition.batch = None
        partition.identity = None

    async def _send_to(self, node: int) -> None:
        tries = 0
        batches: list[tuple[_Partition, Batch]] = []
        try:
            while batches := await self._next(node):
                worked = await self._exchange(node, batches)
                tries = 0 if worked else tries + 1
                if tries:
                    self.counters["resent_batches"] += len(batches)
                    await self._look_for_leaders(tries)
        except Exception as error:  # a codec that is missing, or a mistake of ours
            _log.exception("what was to be written could not be")
            for partition, batch in batches:
                for entry in batch:
                    entry.fail(error)
                self._abandon(partition)
                self._again(partition)
        finally:
            del self._tasks[node]
            if self._ready and self._router is None:
                self._router = asyncio.create_task(self._route())

    async def _next(self, node: int) -> list[tuple[_Partition, Batch]]:
        """A batch for each partition that this broker leads and that has something to send."""
        self._drop_given_up()
        found: list[tuple[_Partition, Batch]] = []
        size = 0
        for where in list(self._ready):
            partition = self._partitions[where]
            if self._client.leader(*where) != node or size >= self._batch_size * 4:
                continue
            if partition.identity is None and not await self._identify(partition):
                continue
            if where not in self._ready:
                continue  # another broker's task has it: the leader has changed meanwhile
            batch = partition.batch or self._gather(partition)
            if batch is None:
                self._ready.pop(where, None)
                continue
            partition.batch = batch
            self._ready.pop(where, None)
            size += batch.size
            found.append((partition, batch))
        return found

    async def _identify(self, partition: _Partition) -> bool:
        """Become a producer that the brokers know, from number 0 on."""
        if self._identity is None:
            try:
                said = await self._client.ask(None, InitProducerIdRequest(_NO_TRANSACTION, -1))
                checked(said.error_code, "asking for a producer id")
            except TransportError as error:
                for entry in partition.waiting:
                    entry.problem = error
                await asyncio.sleep(_BACKOFF[1])
                self._drop_given_up()
                return False
            self._identity = said.producer_id, said.producer_epoch
        partition.identity, partition.sequence = self._identity, 0
        return True

    def _gather(self, partition: _Partition) -> Batch | None:
        assert partition.identity is not None
        batch = Batch(partition.identity, partition.sequence, self._compression, self._batch_size)
        waiting = partition.waiting
        while waiting:
            entry = waiting[0]
            if entry.outcome is None and not batch.add(entry):
                break
            waiting.popleft()
            if partition.single and batch.entries:
                partition.single -= 1
                break
        return batch if batch.entries else None

    # --- one request and its answer

    async def _exchange(self, node: int, batches: list[tuple[_Partition, Batch]]) -> bool:
        """Send them and judge the answers. False: some of it has to be tried again."""
        topics: dict[str, list[tuple[int, bytes]]] = {}
        for partition, batch in batches:
            topics.setdefault(partition.topic, []).append((partition.number, batch.data()))
        for _, batch in batches:
            batch.sent()
        timeout = self._client.timeout
        request = ProduceRequest(None, -1, int(timeout * 1000), list(topics.items()))
        try:
            answer = await self._client.ask(node, request, lane=_LANE, timeout=timeout)
        except TransportError as error:
            for partition, batch in batches:
                batch.failed(error, perhaps=not isinstance(error, NotSent))
                self._again(partition)
            return False
        said = {(t, number): code for t, parts in answer.topics for number, code, *_ in parts}
        good = [self._judge(p, b, said.get((p.topic, p.number), 7)) for p, b in batches]
        return all(good)

    def _judge(self, partition: _Partition, batch: Batch, code: int) -> bool:
        what = f"writing to {partition.topic!r}"
        if code in (0, _ALREADY_THERE):
            partition.sequence += len(batch.entries)
            batch.written()
        elif code in _NOT_APPENDED or code in _PERHAPS:
            batch.failed(Refused(code, what), perhaps=code in _PERHAPS)
            self._again(partition)
            return False
        elif code in _FORGOTTEN:
            return self._begin_anew(partition, batch, Refused(code, what))
        elif code == _TOO_LARGE and len(batch.entries) > 1 and not batch.perhaps:
            batch.failed(Refused(code, what), perhaps=False)
            partition.waiting.extendleft(reversed(batch.entries))
            partition.single = len(batch.entries)
        elif batch.perhaps:
            batch.unknown(Refused(code, what))
            self._abandon(partition)
        else:
            batch.refused(Refused(code, what))
        partition.batch = None
        if partition.waiting:
            self._ready[partition.topic, partition.number] = None
        return True

    def _begin_anew(self, partition: _Partition, batch: Batch, error: Refused) -> bool:
        self.counters["producers_replaced"] += 1
        if self._identity == partition.identity:
            self._identity = None
        partition.identity = None
        if batch.perhaps:
            # An earlier try may have been written under the old name: not again under a new one.
            batch.unknown(error)
            partition.batch = None
        else:
            batch.failed(error, perhaps=False)
        self._again(partition)
        return False

    def _again(self, partition: _Partition) -> None:
        batch = partition.batch
        if batch is not None and not batch.perhaps:
            # It may be put together anew: without what nobody waits for any more.
            partition.waiting.extendleft(reversed(batch.entries))
            partition.batch = None
        self._ready[partition.topic, partition.number] = None


def _of(entry: Entry) -> Outcome:
    outcome = entry.outcome
    assert outcome is not None
    return outcome
