"""Reading: one request at a time for each broker, over all partitions of one member."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from busway import TransportError

from ._client import Client
from ._errors import Refused
from ._offsets import EARLIEST, LATEST, offsets_at
from ._options import Options
from ._tenure import AHEAD, Tenure

__all__ = ["Fetcher", "records_in", "share"]

_log = logging.getLogger("busway.kafka")

_LONG = 500
_SHORT = 10
_REQUEST_BYTES = 16_777_216
_PARTITION_BYTES = range(16_384, 1_048_576)
_WAITING = 16_000
"""Records that wait to be handed out in one member, where it has many partitions; of each of them
it has some at hand all the same."""
_AT_HAND = range(16, AHEAD)
_READ_COMMITTED = 1
_OUT_OF_RANGE = 1
_MOVED = frozenset({3, 5, 6, 9, 74, 75, 76, 78})
_BACKOFF = 0.1
_LONGEST_HOLD = 10.0
"""Seconds; a damaged answer may say a week."""


class Fetcher:
    """Of one member. ``arrived`` is called when there is something new, ``broken`` with what went
    wrong and where: None when all is well there again."""

    def __init__(
        self,
        client: Client,
        options: Options,
        lane: str,
        tenures: Callable[[], Iterable[Tenure]],
        arrived: Callable[[], None],
        broken: Callable[[TransportError | None, Hashable], None],
    ) -> None:
        self.ghosts = 0
        """Times that what was to be read was there no more."""
        self.answered = time.monotonic()
        """When a broker last answered (``time.monotonic``)."""
        self._client = client
        self._window = options.window
        self._lane = lane
        self._tenures = tenures
        self._arrived = arrived
        self._broken = broken
        self._look = asyncio.Event()
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._mistake: Exception | None = None
        self._asked: dict[int, tuple[int, frozenset[Tenure]]] = {}

    def look(self) -> None:
        """There is room again, or another partition."""
        self._look.set()

    def look_at_once(self) -> None:
        """The same, without waiting for what a broker was asked before: it is asked anew."""
        self._look.set()
        wanted = self._by_node()
        for node, (wait, asked) in self._asked.items():
            if wait > _SHORT and not asked.issuperset(wanted.get(node, ())):
                self._polls[node].cancel()

    async def run(self) -> None:
        """Until cancelled."""
        tries = 0
        self._mistake = None
        try:
            while True:
                self._look.clear()
                wanted = self._by_node()
                if self._mistake is not None:
                    raise self._mistake
                for node in wanted:
                    if node is not None and node not in self._polls:
                        self._polls[node] = asyncio.create_task(self._poll(node))
                if None in wanted:
                    tries += 1
                    await self._find_leaders(tries)
                    continue
                tries = 0
                await self._look.wait()
        finally:
            for task in self._polls.values():
                task.cancel()
            await asyncio.gather(*self._polls.values(), return_exceptions=True)
            self._client.close_lane(self._lane)

    async def _find_leaders(self, tries: int) -> None:
        await asyncio.sleep(min(1.0, _BACKOFF * tries))
        await self._refresh()

    def _by_node(self) -> dict[int | None, list[Tenure]]:
        found: dict[int | None, list[Tenure]] = {}
        tenures = list(self._tenures())
        ahead = share(_WAITING, len(tenures), _AT_HAND)
        for tenure in tenures:
            if tenure.wants(self._window, ahead):
                node = self._client.leader(tenure.topic, tenure.number)
                found.setdefault(node, []).append(tenure)
        return found

    async def _poll(self, node: int) -> None:
        try:
            while wanted := self._by_node().get(node):
                all_of_it = sum(
                    self._client.leader(t.topic, t.number) == node and not t.leaving
                    for t in self._tenures()
                )
                # Who has room soon must not wait for what a long question is waiting for.
                wait = _LONG if len(wanted) >= all_of_it else _SHORT
                self._asked[node] = wait, frozenset(wanted)
                if not await self._ask(node, wanted, wait):
                    await asyncio.sleep(_BACKOFF)
        except Exception as error:  # of ours: ``run`` ends with it
            self._mistake = error
        finally:
            self._broken(None, node)
            self._asked.pop(node, None)
            del self._polls[node]
            self._look.set()

    async def _ask(self, node: int, wanted: Sequence[Tenure], wait: int) -> bool:
        """One question and its answer. False: wait a little before the next."""
        topics: dict[str, list[tuple[int, int, int]]] = {}
        most = share(_REQUEST_BYTES, len(wanted), _PARTITION_BYTES)
        for tenure in wanted:
            topics.setdefault(tenure.topic, []).append((tenure.number, tenure.next, most))
        request = FetchRequest(wait, 1, _REQUEST_BYTES, _READ_COMMITTED, list(topics.items()))
        timeout = self._client.timeout + wait / 1000
        try:
            said = await self._client.ask(node, request, lane=self._lane, timeout=timeout)
        except TransportError as error:
            self._broken(error, node)
            await self._refresh()
            return False
        self.answered = time.monotonic()
        good = await self._apply(node, said, {(t.topic, t.number): t for t in wanted})
        if said.throttle_time_ms:
            # A quota: until then the broker reads nothing, and would look as if it were gone. It is
            # not asked anew either, whatever else there is to be had of it.
            self._asked.pop(node, None)
            await asyncio.sleep(min(said.throttle_time_ms / 1000, _LONGEST_HOLD))
        return good

    async def _refresh(self) -> None:
        try:
            await self._client.refresh()
        except TransportError as error:
            self._broken(error, "leaders")
        else:
            self._broken(None, "leaders")

    async def _apply(self, node: int, said: Any, wanted: dict[tuple[str, int], Tenure]) -> bool:
        good, some = True, False
        for topic, partitions in said.topics:
            for number, code, end, _, _, aborted, *_, data in partitions:
                tenure = wanted.get((topic, number))
                if tenure is None or tenure.ended:
                    continue
                if code:
                    good = await self._judge(node, tenure, code) and good
                    continue
                tenure.end = end
                if data:
                    some = self._take(tenure, data, aborted) or some
        if good:
            self._broken(None, node)
        if some:
            self._arrived()
        return good

    def _take(self, tenure: Tenure, data: bytes, aborted: Any) -> bool:
        try:
            records, after = records_in(data, tenure.next, aborted or ())
        except Exception as error:  # each codec has errors of its own
            _log.error(
                "%s[%d]: what lies at offset %d cannot be read, and nothing behind it is: %s",
                tenure.topic,
                tenure.number,
                tenure.next,
                error,
            )
            said = TransportError(f"{tenure.topic!r} cannot be read: {error}")
            self._broken(said, (tenure.topic, tenure.number))
            return False
        self._broken(None, (tenure.topic, tenure.number))
        tenure.add(records, after)
        return bool(records)

    async def _judge(self, node: int, tenure: Tenure, code: int) -> bool:
        if code == _OUT_OF_RANGE:
            return await self._find_place(node, tenure)
        if code in _MOVED:
            await self._refresh()
        else:
            self._broken(Refused(code, f"reading {tenure.topic!r}"), node)
        return False

    async def _find_place(self, node: int, tenure: Tenure) -> bool:
        """What was to be read next is gone, by retention, or the topic was made anew. False: it is
        not known yet where to go on."""
        where = {tenure.topic: [tenure.number]}
        try:
            first = (await offsets_at(self._client, where, EARLIEST))[tenure.topic, tenure.number]
            last = (await offsets_at(self._client, where, LATEST))[tenure.topic, tenure.number]
        except TransportError as error:
            self._broken(error, node)
            return False
        place = first if tenure.next < first or tenure.next > last else tenure.next
        self.ghosts += 1
        _log.error(
            "%s[%d]: offset %d is there no more (from %d to %d are): reading on at %d",
            tenure.topic,
            tenure.number,
            tenure.next,
            first,
            last,
            place,
        )
        tenure.add((), place)
        return True


def share(whole: int, parts: int, limits: range) -> int:
    """What each of so many gets of it, from the first of the limits up to the last."""
    return max(limits.start, min(limits.stop, whole // max(1, parts)))


def records_in(data: bytes, begin: int, aborted: Any) -> tuple[list[Any], int]:
    """The records at ``begin`` and after it, without control records and what a transaction took
    back, and the offset behind the last that was looked at.

    Raises KafkaError when the bytes are damaged.
    """
    found: list[Any] = []
    after = begin
    taken_back: set[int] = set()
    to_come = sorted(aborted, key=lambda each: each[1])
    memory = MemoryRecords(data)
    while memory.has_next():
        batch: Any = memory.next_batch()
        if not batch.validate_crc():
            raise KafkaError("a checksum does not fit")
        if batch.magic >= 2:
            while to_come and to_come[0][1] <= batch.base_offset:
                taken_back.add(to_come.pop(0)[0])
            if batch.is_control_batch:
                if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                    taken_back.discard(batch.producer_id)
                after = max(after, batch.next_offset)
                continue
            if batch.is_transactional and batch.producer_id in taken_back:
                after = max(after, batch.next_offset)
                continue
        records = list(batch)
        if batch.magic < 2 or batch.base_offset < begin:  # a broker gives whole batches
            records = [record for record in records if record.offset >= begin]
        found += records
        after = max(after, batch.next_offset)
    return found, after
