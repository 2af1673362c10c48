"""Giving back what was not handled, and what becomes of it when the server could not be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from busway.transport import Delivery

from ._source import Source

__all__ = ["give_back"]

Given = Mapping[bytes, Delivery]


async def give_back(
    deliveries: Sequence[Delivery], tell: Callable[[Source, Given], Awaitable[None]]
) -> None:
    """Tell the server, for each stream in turn. What it may not have heard of is lent as before,
    and can be given back again. Raises what ``tell`` raises."""
    back: dict[Source, dict[bytes, Delivery]] = {}
    for delivery in deliveries:
        source, id, _ = delivery.receipt
        if id in source.held and not delivery.expired:
            back.setdefault(source, {})[id] = delivery
            # It may come again as soon as the server has heard of it, here too.
            source.held.discard(id)
            source.owed.pop(id, None)
        else:
            delivery.expired = True
    try:
        for source, given in list(back.items()):
            await tell(source, given)
            del back[source]
            for delivery in given.values():
                delivery.expired = True
    finally:
        for source, given in back.items():
            _owe(source, given)


def _owe(source: Source, given: Given) -> None:
    for id, delivery in given.items():
        if id in source.held:
            delivery.expired = True  # the server has heard of it, and it is here again
        else:
            source.held.add(id)
            source.owed[id] = delivery
