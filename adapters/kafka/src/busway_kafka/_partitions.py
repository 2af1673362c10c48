"""What is to be written to each partition, in order, and under which number."""

from __future__ import annotations

from collections import deque

from ._batch import Batch, Entry

__all__ = ["Partition", "Partitions"]

_KEPT = 10_000
"""Partitions that are remembered while nothing is written to them."""


class Partition:
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

    @property
    def idle(self) -> bool:
        return self.batch is None and not self.waiting


class Partitions:
    """Those of one producer."""

    def __init__(self, kept: int = _KEPT) -> None:
        self.ready: dict[Partition, None] = {}
        """Those that have something to send and are not on their way, in order."""
        self.identity: tuple[int, int] | None = None
        """As whom a partition is written to that begins; None: it is to be asked for."""
        self._kept = kept
        self._all: dict[tuple[str, int], Partition] = {}

    def __len__(self) -> int:
        return len(self._all)

    def put(self, entry: Entry) -> Partition | None:
        """The next to write to its partition. Returns that, if nothing was to be written to it."""
        where = entry.topic, entry.partition
        partition = self._all.get(where)
        if partition is None:
            if len(self._all) >= self._kept:
                self._forget()
            partition = self._all[where] = Partition(*where)
        partition.waiting.append(entry)
        if partition.batch is not None or partition in self.ready:
            return None
        self.ready[partition] = None
        return partition

    def _forget(self) -> None:
        """Those that nothing is written to. With them go the numbers they had come to: what is
        written there again begins at 0, as another producer."""
        self._all = {where: each for where, each in self._all.items() if not each.idle}
        self.identity = None

    def close(self, error: BaseException) -> None:
        """What was not written is told so."""
        for partition in self._all.values():
            for entry in (*partition.waiting, *(partition.batch or ())):
                entry.fail(error)
        self._all.clear()
        self.ready.clear()
        self.identity = None

    def drop_given_up(self) -> None:
        """Nobody waits for it any more: it is not sent."""
        for partition in list(self.ready):
            if partition.batch is not None and partition.batch.given_up:
                self.abandon(partition)
            while partition.waiting and partition.waiting[0].outcome is not None:
                partition.waiting.popleft()
            if partition.idle:
                del self.ready[partition]

    def abandon(self, partition: Partition) -> None:
        """Nobody waits for its batch any more, and nobody knows what became of it: its number is
        spent.

        As the same producer the partition would begin at 0 again, and a broker would take what is
        new for what it has.
        """
        self.another(partition)
        partition.batch = None

    def another(self, partition: Partition) -> None:
        """It goes on as another producer, from 0."""
        if self.identity == partition.identity:
            self.identity = None
        partition.identity = None

    def again(self, partition: Partition) -> None:
        """What it has is to be sent, or to be sent again."""
        batch = partition.batch
        if batch is not None and not batch.perhaps:
            # It may be put together anew: without what nobody waits for any more.
            partition.waiting.extendleft(reversed(batch.entries))
            partition.batch = None
        self.ready[partition] = None
