"""Writing: idempotent, confirmed by all replicas in sync, in batches that are built while another
is on its way.

For each broker one request at a time is under way, with one batch at most for each partition in it;
what is published meanwhile goes with the next. A batch has its number (Kafka's sequence), and is
sent with the same one until a broker has said what became of it: so that it is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from busway import TransportError
from busway.transport import Outcome

from ._batch import Entry
from ._client import Client
from ._deadlines import Deadlines, Waiting
from ._partitions import Partition, Partitions
from ._writing import Parcel, Writer

__all__ = ["Producer"]

_log = logging.getLogger("busway.kafka")

_BACKOFF = (0.02, 0.05, 0.1, 0.2, 0.4)


class Producer:
    """Of one transport. ``compression`` is Kafka's number for it."""

    def __init__(self, client: Client, compression: int = 0, batch_size: int = 524_288) -> None:
        self._client = client
        self._partitions = Partitions()
        self._writer = Writer(client, self._partitions, compression, batch_size)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._router: asyncio.Task[None] | None = None
        self._deadlines = Deadlines()
        self._resent = 0

    @property
    def counters(self) -> dict[str, int]:
        return {"resent_batches": self._resent, "producers_replaced": self._writer.replaced}

    async def close(self) -> None:
        """What is under way is left alone: who waited for it has been told."""
        tasks = [task for task in (*self._tasks.values(), self._router) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._partitions.close(TransportError("the transport was closed"))
        self._deadlines.close()

    async def write(self, entries: Sequence[Entry], until: float) -> list[Outcome]:
        """What became of each, by ``until`` (of ``time.monotonic``)."""
        waiting = self.begin(entries, until)
        try:
            await waiting.future
        finally:
            outcomes = self.end(entries, waiting)
        return outcomes

    def begin(self, entries: Sequence[Entry], until: float) -> Waiting:
        """Have them written. Whoever began calls ``end``, once ``future`` is done or they are not
        wanted any more."""
        waiting = self._deadlines.begin(until, len(entries))
        put = self._partitions.put
        for entry in entries:
            entry.waiting = waiting
            if (partition := put(entry)) is not None and self._router is None:
                self._rouse(partition)
        return waiting

    def end(self, entries: Sequence[Entry], waiting: Waiting) -> list[Outcome]:
        """What became of each until now. What has not left the process is not sent any more."""
        self._deadlines.end(waiting)
        return [entry.final() for entry in entries]

    # --- which broker

    def _rouse(self, partition: Partition) -> None:
        """Have it looked at when this turn of the loop is over: all that is published in it goes
        together."""
        node = self._client.leader(partition.topic, partition.number)
        if node is None:
            self._router = asyncio.create_task(self._route())
        elif node not in self._tasks:
            self._tasks[node] = asyncio.create_task(self._send_to(node))

    async def _route(self) -> None:
        """Hand what is ready to the brokers' own tasks."""
        try:
            await self._hand_over()
        except Exception as error:  # a mistake of ours: the next begins anew
            _log.exception("what was to be written could not be")
            self._give_up([], error)
        finally:
            self._router = None

    async def _hand_over(self) -> None:
        tries = 0
        while self._partitions.ready:
            lost = False
            for partition in list(self._partitions.ready):
                node = self._client.leader(partition.topic, partition.number)
                if node is None:
                    lost = True
                elif node not in self._tasks:
                    self._tasks[node] = asyncio.create_task(self._send_to(node))
            if not lost:
                break
            await self._look_for_leaders(tries)
            tries += 1

    async def _look_for_leaders(self, tries: int) -> None:
        if tries:
            await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF)) - 1])
        try:
            await self._client.refresh()
        except TransportError as error:
            for partition in self._partitions.ready:
                for entry in partition.waiting:
                    entry.problem = error
        self._partitions.drop_given_up()

    async def _send_to(self, node: int) -> None:
        tries = 0
        parcel: Parcel = []
        try:
            while parcel := await self._writer.next(node):
                worked = await self._writer.exchange(node, parcel)
                tries = 0 if worked else tries + 1
                if tries:
                    self._resent += len(parcel)
                    await self._look_for_leaders(tries)
                parcel = []
        except Exception as error:  # a codec that is missing, or a mistake of ours
            _log.exception("what was to be written could not be")
            self._give_up(parcel, error)
        finally:
            del self._tasks[node]
            if self._partitions.ready and self._router is None:
                self._router = asyncio.create_task(self._route())

    def _give_up(self, parcel: Parcel, error: BaseException) -> None:
        """Tell who waits for what cannot be sent: what was about to be, or else all that is ready.
        Nobody tries it again by himself."""
        for partition, batch in parcel:
            for entry in batch:
                entry.fail(error)
            self._partitions.abandon(partition)
            self._partitions.again(partition)
        if not parcel:
            for partition in self._partitions.ready:
                for entry in (*(partition.batch or ()), *partition.waiting):
                    entry.fail(error)
            self._partitions.drop_given_up()
