"""One request to one broker, with a batch for each partition, and what its answer means."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from busway import TransportError

from ._batch import Batch
from ._client import Client
from ._errors import NotSent, Refused, checked
from ._partitions import Partition, Partitions

__all__ = ["Parcel", "Writer"]

Parcel = list[tuple[Partition, Batch]]
"""What goes to one broker together."""

_LANE = "produce"
# None is what the protocol has; aiokafka's types have not.
_NO_TRANSACTION: Any = None
_PAUSE = 0.05
# Rejected before anything was appended, and by nobody's fault for long.
_NOT_APPENDED = frozenset({19})
# Appended perhaps. Who is no leader any more may have been one when it came, and the next one has
# what the followers had fetched by then.
_PERHAPS = frozenset({3, 5, 6, 7, 9, 13, 20, 56, 74, 75, 76})
_ALREADY_THERE = 46
_LONGEST_HOLD = 10.0
"""Seconds; a damaged answer may say a week."""
_TOO_LARGE = 10
_NO_FAULT_OF_ITS_NAME = frozenset({_TOO_LARGE, 29})
# The broker does not know this producer, or not at this number: begin anew as another one.
_FORGOTTEN = frozenset({45, 47, 59, 90})


class Writer:
    """Of one producer. ``compression`` is Kafka's number for it."""

    def __init__(
        self, client: Client, partitions: Partitions, compression: int, batch_size: int
    ) -> None:
        self.replaced = 0
        """How often it had to go on as another producer."""
        self._client = client
        self._partitions = partitions
        self._compression = compression
        self._batch_size = batch_size
        self._rest: dict[int, float] = {}
        """Until when a broker takes nothing, for a quota's sake."""

    # --- what goes next

    async def next(self, node: int) -> Parcel:
        """A batch for each partition that this broker leads and that has something to send."""
        if self._rest:
            await self._rested(node)
        ready, found, size = self._partitions.ready, Parcel(), 0
        for partition in list(ready):
            nameless = partition.identity is None and self._is_led_by(node, partition)
            if nameless and not await self._identify(partition):
                break
        # From here on nothing is awaited until it is on its way: who gave up was told that it is
        # not sent.
        self._partitions.drop_given_up()
        for partition in list(ready):
            led = self._is_led_by(node, partition)
            if not led or partition.identity is None or size >= self._batch_size * 4:
                continue
            batch = partition.batch or self._gather(partition)
            del ready[partition]
            if batch is None:
                continue
            partition.batch = batch
            size += batch.size
            found.append((partition, batch))
        return found

    async def _rested(self, node: int) -> None:
        """A broker that holds us back reads nothing that we send meanwhile. It would look as if it
        were gone, and what is sent again counts against the quota again."""
        until = self._rest.pop(node, 0.0)
        while (left := until - time.monotonic()) > 0:
            self._partitions.drop_given_up()
            held = TransportError(f"a quota of Kafka holds this client back, {left:.1f} s more")
            for partition in self._partitions.ready:
                if self._is_led_by(node, partition):
                    for entry in partition.waiting:
                        entry.problem = held
            await asyncio.sleep(min(left, _PAUSE))

    def _is_led_by(self, node: int, partition: Partition) -> bool:
        return self._client.leader(partition.topic, partition.number) == node

    async def _identify(self, partition: Partition) -> bool:
        """Become a producer that the brokers know, from number 0 on."""
        partitions = self._partitions
        if partitions.identity is None:
            try:
                said = await self._client.ask(None, InitProducerIdRequest(_NO_TRANSACTION, -1))
                checked(said.error_code, "asking for a producer id")
            except TransportError as error:
                for entry in partition.waiting:
                    entry.problem = error
                await asyncio.sleep(_PAUSE)
                partitions.drop_given_up()
                return False
            partitions.identity = said.producer_id, said.producer_epoch
        partition.identity, partition.sequence = partitions.identity, 0
        return True

    def _gather(self, partition: Partition) -> Batch | None:
        assert partition.identity is not None
        batch = Batch(partition.identity, partition.sequence, self._compression, self._batch_size)
        batch.fill(partition.waiting, 1 if partition.single else sys.maxsize)
        if partition.single and batch.entries:
            partition.single -= 1
        return batch if batch.entries else None

    # --- one request and its answer

    async def exchange(self, node: int, parcel: Parcel) -> bool:
        """Send them and judge the answers. False: some of it has to be tried again."""
        topics: dict[str, list[tuple[int, bytes]]] = {}
        for partition, batch in parcel:
            topics.setdefault(partition.topic, []).append((partition.number, batch.data()))
        for _, batch in parcel:
            batch.sent()
        timeout = self._client.timeout
        request = ProduceRequest(None, -1, int(timeout * 1000), list(topics.items()))
        try:
            answer = await self._client.ask(node, request, lane=_LANE, timeout=timeout)
        except TransportError as error:
            for partition, batch in parcel:
                batch.failed(error, perhaps=not isinstance(error, NotSent))
                self._partitions.again(partition)
            return False
        if answer.throttle_time_ms:
            held = min(answer.throttle_time_ms / 1000, _LONGEST_HOLD)
            self._rest[node] = time.monotonic() + held
        said = {(t, number): code for t, parts in answer.topics for number, code, *_ in parts}
        good = [self._judge(p, b, said.get((p.topic, p.number), 7)) for p, b in parcel]
        return all(good)

    def _judge(self, partition: Partition, batch: Batch, code: int) -> bool:
        what = f"writing to {partition.topic!r}"
        if code in (0, _ALREADY_THERE):
            partition.sequence += len(batch.entries)
            batch.written()
        elif code in _NOT_APPENDED or code in _PERHAPS:
            batch.failed(Refused(code, what), perhaps=code in _PERHAPS)
            self._partitions.again(partition)
            return False
        elif code in _FORGOTTEN:
            return self._begin_anew(partition, batch, Refused(code, what))
        elif code == _TOO_LARGE and len(batch.entries) > 1 and not batch.perhaps:
            batch.failed(Refused(code, what), perhaps=False)
            partition.waiting.extendleft(reversed(batch.entries))
            partition.single = len(batch.entries)
        elif batch.perhaps:
            batch.unknown(Refused(code, what))
            self._partitions.abandon(partition)
        else:
            batch.refused(Refused(code, what))
            if code not in _NO_FAULT_OF_ITS_NAME:
                # Its name may be what the broker refuses: an answer that was damaged gave it.
                self._partitions.another(partition)
        partition.batch = None
        if partition.waiting:
            self._partitions.ready[partition] = None
        return True

    def _begin_anew(self, partition: Partition, batch: Batch, error: Refused) -> bool:
        self.replaced += 1
        self._partitions.another(partition)
        if batch.perhaps:
            # An earlier try may have been written under the old name: not again under a new one.
            batch.unknown(error)
            partition.batch = None
        else:
            batch.failed(error, perhaps=False)
        self._partitions.again(partition)
        return False
