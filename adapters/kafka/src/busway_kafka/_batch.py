"""Records on their way to one partition, and what is known of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from busway import TransportError
from busway.transport import WRITTEN, NotWritten, Outcome, Unknown

from ._deadlines import Waiting

__all__ = ["Batch", "Entry", "size_of"]


class Entry:
    """One record, and who waits for it."""

    __slots__ = (
        "headers", "key", "outcome", "partition", "perhaps", "problem", "topic", "value", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers: Any = headers
        self.outcome: Outcome | None = None
        self.perhaps = False
        """It left the process, and nobody said what became of it."""
        self.problem: BaseException | None = None
        """The last that went wrong."""
        self.waiting: Waiting | None = None

    def end(self, outcome: Outcome) -> None:
        """Tell who waits, once."""
        if self.outcome is None:
            self.outcome = outcome
            if self.waiting is not None:
                self.waiting.tell()

    def final(self) -> Outcome:
        """What became of it; without that its time is over now. What may have been written is not
        taken back, what was not sent will not be."""
        outcome = self.outcome
        if outcome is None:
            error = self.problem or TransportError("Kafka did not confirm it in time")
            outcome = self.outcome = Unknown(error) if self.perhaps else NotWritten(error)
        return outcome

    def fail(self, error: BaseException) -> None:
        self.end(Unknown(error) if self.perhaps else NotWritten(error))


class Batch:
    """What one request carries for one partition."""

    __slots__ = ("_builder", "_data", "entries", "perhaps", "size")

    def __init__(
        self, identity: tuple[int, int], sequence: int, compression: int, size: int
    ) -> None:
        self.entries: list[Entry] = []
        self.perhaps = False
        """An earlier try of it may have been written."""
        self.size = 0
        self._builder: Any = DefaultRecordBatchBuilder(2, compression, 0, *identity, sequence, size)
        self._data: bytes | None = None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def fill(self, waiting: deque[Entry], most: int) -> None:
        """Take from there what has room, in its order; what was given up is dropped."""
        now = int(time.time() * 1000)
        append, entries = self._builder.append, self.entries
        while waiting and len(entries) < most:
            entry = waiting[0]
            if entry.outcome is None:
                if append(len(entries), now, entry.key, entry.value, entry.headers) is None:
                    break
                entries.append(entry)
            waiting.popleft()
        self.size = self._builder.size()

    def data(self) -> bytes:
        """The bytes, the same at each try."""
        if self._data is None:
            self._data = bytes(self._builder.build())
        return self._data

    @property
    def given_up(self) -> bool:
        """Nobody waits for any of it."""
        return all(entry.outcome is not None for entry in self.entries)

    def sent(self) -> None:
        for entry in self.entries:
            entry.perhaps = True

    def written(self) -> None:
        # Written out: the price of a call for each is as high as that of all else here.
        for entry in self.entries:
            if entry.outcome is None:
                entry.outcome = WRITTEN
                waiting = entry.waiting
                if waiting is not None:
                    waiting.left -= 1
                    if waiting.left <= 0:
                        waiting.wake()

    def failed(self, error: BaseException, *, perhaps: bool) -> None:
        """It is tried again."""
        self.perhaps = self.perhaps or perhaps
        for entry in self.entries:
            entry.problem = error
            entry.perhaps = self.perhaps

    def refused(self, error: BaseException) -> None:
        """For good, and nothing of it was written."""
        for entry in self.entries:
            entry.end(NotWritten(error))

    def unknown(self, error: BaseException) -> None:
        for entry in self.entries:
            entry.end(Unknown(error))


def size_of(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> int:
    """Bytes that a batch takes with this record alone, before it is compressed; a few more."""
    builder: Any = DefaultRecordBatchBuilder
    size: int = builder.estimate_size_in_bytes(key, value, headers)
    return size
