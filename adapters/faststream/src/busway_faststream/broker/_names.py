"""Names that must not be taken twice: a bus's by two brokers, a group's by two subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from busway import GroupError, StateError

from ._subscriber import BusSubscriber

if TYPE_CHECKING:
    from ._broker import BusBroker

__all__ = ["check_groups", "claimed", "let_go"]

_running: WeakSet[BusBroker] = WeakSet()
"""The brokers of this process that are started."""


def claimed(broker: BusBroker) -> None:
    """Raises StateError when another broker runs on the same bus."""
    if any(each.bus is broker.bus for each in _running if each is not broker):
        raise StateError(
            "two brokers on one Bus: the first that stops would take it from the other. Give both "
            "sets of handlers to one broker, by routers, or each broker a Bus of its own"
        )
    _running.add(broker)


def let_go(broker: BusBroker) -> None:
    """It does not run any more; twice is harmless."""
    _running.discard(broker)


def check_groups(broker: BusBroker) -> None:
    """Raises GroupError when two subscribers would share a group that neither of them named: of one
    broker, or of two of one service that run in this process, on one server."""
    known: dict[str, BusSubscriber] = {}
    beside = [each for each in _running if each is not broker and _same_place(each, broker)]
    for each in (*beside, broker):
        for subscriber in _unnamed(each):
            other = known.setdefault(subscriber.group, subscriber)
            if other is not subscriber:
                raise GroupError(
                    f"two subscribers would share the default group {subscriber.group!r}, so that "
                    f"each got only some of the events: {_place(other.function)} and "
                    f"{_place(subscriber.function)}. Rename one, or give each a group="
                )


def _same_place(one: BusBroker, other: BusBroker) -> bool:
    if one.bus.service != other.bus.service:
        return False
    url = one.config.broker_config.url
    remote = url is not None and not url.startswith(("memory://", "null://"))
    at_one_url = remote and url == other.config.broker_config.url
    return at_one_url or one.bus.transport is other.bus.transport


def _unnamed(broker: BusBroker) -> Iterator[BusSubscriber]:
    for each in broker.subscribers:
        if isinstance(each, BusSubscriber) and each.calls and not each.has_own_group:
            yield each


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
