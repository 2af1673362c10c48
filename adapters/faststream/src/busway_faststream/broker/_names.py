"""Names that must not be taken twice: a bus's by two brokers, a group's by two subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from busway import GroupError, StateError, TransportError
from busway.transport import Located, Transport

from ._subscriber import BusSubscriber

if TYPE_CHECKING:
    from ._broker import BusBroker

__all__ = ["check_groups", "check_groups_where_it_is", "claimed", "let_go"]

_NOWHERE = "null"
"""Of ``null://``, where no event is that two could share."""

_running: WeakKeyDictionary[BusBroker, asyncio.AbstractEventLoop] = WeakKeyDictionary()
"""The brokers of this process that are started, and where."""


def claimed(broker: BusBroker) -> None:
    """Raises StateError when another broker runs on the same bus."""
    if any(each.bus is broker.bus for each in _running if each is not broker):
        raise StateError(
            "two brokers on one Bus: the first that stops would take it from the other. Give both "
            "sets of handlers to one broker, by routers, or each broker a Bus of its own"
        )
    _running[broker] = asyncio.get_running_loop()


def let_go(broker: BusBroker) -> None:
    """It does not run any more; twice is harmless."""
    _running.pop(broker, None)


def check_groups(broker: BusBroker) -> None:
    """Raises GroupError when two subscribers would share a group that neither of them named: of one
    broker, or of two of one service that run in this process, on one transport or one URL."""
    beside = [each for each in _running if each is not broker and _same_url(each, broker)]
    _compare([*beside, broker])


async def check_groups_where_it_is(broker: BusBroker) -> None:
    """The same, for two that were made in other ways and are one server: which only a transport
    that is open can tell."""
    for each in _of_service(broker):
        try:
            _compare([each, broker])
        except GroupError:
            # Transports are asked when there is something to lose, which is seldom.
            if await _same_place(each.bus.transport, broker.bus.transport):
                raise


def _compare(brokers: list[BusBroker]) -> None:
    known: dict[str, BusSubscriber] = {}
    for subscriber in (each for broker in brokers for each in _unnamed(broker)):
        other = known.setdefault(subscriber.group, subscriber)
        if other is not subscriber:
            raise GroupError(
                f"two subscribers would share the default group {subscriber.group!r}, so that "
                f"each got only some of the events: {_place(other.function)} and "
                f"{_place(subscriber.function)}. Rename one, or give each a group="
            )


def _of_service(broker: BusBroker) -> list[BusBroker]:
    """The others that run on this loop: on another, nothing can be asked of their transports."""
    here, service = asyncio.get_running_loop(), broker.bus.service
    others = [each for each, loop in _running.items() if each is not broker and loop is here]
    return [each for each in others if each.bus.service == service]


def _same_url(one: BusBroker, other: BusBroker) -> bool:
    if one.bus.service != other.bus.service:
        return False
    url = one.config.broker_config.url
    remote = url is not None and not url.startswith(("memory://", "null://"))
    at_one_url = remote and url == other.config.broker_config.url
    return at_one_url or one.bus.transport is other.bus.transport


async def _same_place(one: Transport, other: Transport) -> bool:
    if not (isinstance(one, Located) and isinstance(other, Located)):
        return False
    try:
        places = {await one.location(), await other.location()}
    except TransportError:
        return False  # it says so itself
    return len(places) == 1 and places != {_NOWHERE}


def _unnamed(broker: BusBroker) -> Iterator[BusSubscriber]:
    for each in broker.subscribers:
        if isinstance(each, BusSubscriber) and each.calls and not each.has_own_group:
            yield each


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
