"""What stands beside a committed offset, so that the next owner of a partition knows what happened.

Kafka keeps one number for each group and partition, and counts no deliveries. It also keeps a text
beside the number (``offset.metadata.max.bytes``, 4,096 by default), and in ours stands: up to where
anything may have been handed out, what above the number is done, and what was begun alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

__all__ = ["Note", "ranges"]

_MOST: Final = 3_000
_OURS: Final = '{"busway":1'


class Note(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "busway"}):
    """Numbers are counted from the committed offset, so that they stay short."""

    version: int
    handed: int = 0
    """Nothing at or above it was handed out. 0: nothing at all was, by who left in good order."""
    done: tuple[tuple[int, int], ...] = ()
    """First and last of each run that is done although something below it is not."""
    begun: dict[int, int] = {}
    """How often each of these was begun, with nothing beside it, and not finished."""

    def text(self) -> str:
        """For the broker. What has no room is left out, the last first: it is done again then."""
        note = self
        while len(text := msgspec.json.encode(note).decode()) > _MOST:
            if note.done:
                note = msgspec.structs.replace(note, done=note.done[: len(note.done) // 2])
            else:
                kept = sorted(note.begun)[: len(note.begun) // 2]
                note = msgspec.structs.replace(note, begun={n: note.begun[n] for n in kept})
        return text

    @classmethod
    def of(cls, text: str | None) -> Note:
        """What a text says; one of somebody else's, or none, says nothing."""
        if text and text.startswith(_OURS):
            try:
                return msgspec.json.decode(text, type=cls)
            except msgspec.MsgspecError:
                pass
        return cls(1)

    def is_done(self, distance: int) -> bool:
        return any(first <= distance <= last for first, last in self.done)


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers that follow one another *as given* as first and last."""
    first = last = None
    for number in numbers:
        if last is None or number != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last
