"""Events that were just published, lent together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, overload

from ..message import Envelope
from ._delivery import Delivery, Loan

__all__ = ["Fresh"]


class Fresh(Sequence[Delivery]):
    """A run of deliveries of which nothing is to be said but their events: lent for the first time,
    at their first attempt, not sent for later, with no reply awaited, each in the lane of its key,
    and all under one loan, which nobody has to prolong, or under none.

    A feed may return one in place of a list. It is a sequence like any other whose elements are
    made when they are looked at. While all goes well the core looks at none: it takes the events
    and acknowledges the whole, which counts as one that runs under the loan until then.
    """

    __slots__ = ("_channel_of", "_made", "_receipt_of", "events", "loan", "receipt")

    def __init__(
        self,
        events: list[Envelope],
        channel_of: Callable[[Envelope], str],
        *,
        loan: Loan | None = None,
        receipt_of: Callable[[int], Any] | None = None,
    ) -> None:
        self.events = events
        self.loan = loan
        self.receipt: Any = None
        """The adapter's own; what is made from then on begins with it, if ``receipt_of`` does not
        say what the one at a place begins with."""
        self._channel_of = channel_of
        self._receipt_of = receipt_of
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
            receipt = self.receipt if self._receipt_of is None else self._receipt_of(place)
            channel = self._channel_of(event)
            made = Delivery(event, channel, event.subject, loan=self.loan, receipt=receipt)
            self._made[place] = made
        return made

    def __repr__(self) -> str:
        return f"<Fresh of {len(self.events)} events>"
