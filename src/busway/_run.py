"""Fresh events on their way through one worker, without a delivery made for any of them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import length_hint

from .message import Envelope
from .transport import Delivery, Fresh

__all__ = ["Run"]


class Run:
    """The iterator is the only record of how far it has come: nothing is written for each event."""

    __slots__ = ("batch", "begun", "broken", "events")

    def __init__(self, batch: Fresh) -> None:
        self.batch = batch
        self.events: Iterator[Envelope] = iter(batch.events)
        self.begun = False
        self.broken: Delivery | None = None
        """What ran when it was broken off; its worker finishes it as any other delivery."""

    @property
    def running(self) -> Delivery:
        """What is being handled."""
        return self.batch[self._place]

    @property
    def _place(self) -> int:
        return len(self.batch) - length_hint(self.events) - 1

    def break_off(self) -> tuple[list[Delivery], list[Delivery]]:
        """End the loop over ``events`` after the one that runs: what is finished, what is left."""
        place = self._place
        for _ in self.events:
            pass
        if self.begun:
            self.broken = self.batch[place]
        return self.batch[: max(place, 0)], self.batch[place + 1 :]
