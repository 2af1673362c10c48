"""Events that were just published, lent together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, overload

from ..message import Envelope
from ._delivery import Delivery

__all__ = ["Fresh"]


class Fresh(Sequence[Delivery]):
    """A run of deliveries of which nothing is to be said but their events: lent for the first time,
    at their first attempt, not sent for later, under no loan, with no reply awaited, each in the
    lane of its key.

    A feed in this process may return one in place of a list. It is a sequence like any other whose
    elements are made when they are looked at. While all goes well the core looks at none: it takes
    the events and acknowledges the whole.
    """

    __slots__ = ("_channel_of", "_made", "events", "receipt")

    def __init__(self, events: list[Envelope], channel_of: Callable[[Envelope], str]) -> None:
        self.events = events
        self.receipt: Any = None
        """The adapter's own; what is made from then on begins with it."""
        self._channel_of = channel_of
        self._made: dict[int, Delivery] = {}

    @property
    def made(self) -> Collection[Delivery]:
        """Those that were looked at."""
        return self._made.values()

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, index: int, /) -> Delivery: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[Delivery]: ...

    def __getitem__(self, index: int | slice, /) -> Delivery | list[Delivery]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self.events)))]
        place = range(len(self.events))[index]
        made = self._made.get(place)
        if made is None:
            event = self.events[place]
            made = Delivery(event, self._channel_of(event), event.subject, receipt=self.receipt)
            self._made[place] = made
        return made

    def __repr__(self) -> str:
        return f"<Fresh of {len(self.events)} events>"
