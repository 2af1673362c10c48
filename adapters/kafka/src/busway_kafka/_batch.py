"""Records on their way to one partition, and what is known of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from busway import TransportError
from busway.transport import WRITTEN, NotWritten, Outcome, Unknown

__all__ = ["Batch", "Entry"]


class Entry:
    """One record, and who waits for it."""

    __slots__ = (
        "headers", "key", "outcome", "partition", "perhaps", "problem", "told", "topic", "value",
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
        self.told: Callable[[], None] = _nobody

    def end(self, outcome: Outcome) -> None:
        """Tell who waits, once."""
        if self.outcome is None:
            self.outcome = outcome
            self.told()

    def give_up(self) -> None:
        """Its time is over. What may have been written is not taken back."""
        error = self.problem or TransportError("Kafka did not confirm it in time")
        self.outcome = Unknown(error) if self.perhaps else NotWritten(error)

    def fail(self, error: BaseException) -> None:
        self.end(Unknown(error) if self.perhaps else NotWritten(error))


def _nobody() -> None:
    pass


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

    def add(self, entry: Entry) -> bool:
        """False: it is full."""
        now = int(time.time() * 1000)
        added = self._builder.append(len(self.entries), now, entry.key, entry.value, entry.headers)
        if added is None:
            return False
        self.entries.append(entry)
        self.size += added.size
        return True

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
        for entry in self.entries:
            entry.end(WRITTEN)

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
