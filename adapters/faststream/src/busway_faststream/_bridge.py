"""Both ways: what FastStream has goes to the bus, and events of the bus go to its publishers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from busway import (
    Backoff,
    Bus,
    Envelope,
    OptionError,
    Retry,
    RetryLater,
    Subscription,
    TooLarge,
    UsageError,
)

from ._ferry import Ferry, TopicOf
from ._mirror import MirrorToBus
from ._wire import HOPS, body_of, headers_of

__all__ = ["Bridge", "bridge"]

_FINAL = (TypeError, ValueError, UsageError)
_POLICY: Final = Retry(
    attempts=2**31, give_up_on=_FINAL, backoff=Backoff(first=0.1, factor=2.0, cap=5.0)
)
_TOO_LARGE: Final = frozenset({"MessageSizeTooLargeError", "RecordListTooLargeError"})
"""What a client of Kafka raises; by name, because none needs to be installed. Its other errors that
it would not retry itself, such as a missing permission, end once somebody has mended something."""
_UNTIL_UP: Final = 0.05
"""Seconds between two looks whether the broker of an app that starts is up."""
_ANSWER: Final = 1.0
"""Seconds that one which does not say so has to answer."""


class Broker(Protocol):
    """The part of FastStream's brokers that is needed here."""

    running: bool

    async def ping(self, timeout: float | None) -> bool: ...

    def insert_middleware(self, middleware: Any) -> None: ...


class Publisher(Protocol):
    """The part of FastStream's publishers that is needed here."""

    @property
    def publish(self) -> Callable[..., Awaitable[Any]]: ...


class _NotUp(RetryLater):
    """The app starts, or has stopped its broker; nobody is to blame."""

    counts: ClassVar[bool] = False


class Bridge:
    """What ``bridge`` has built."""

    def __init__(self, mirror: MirrorToBus, subscriptions: tuple[Subscription, ...]) -> None:
        self.mirror = mirror
        """The middleware that brings messages to the bus."""
        self.subscriptions = subscriptions
        """Those of the bus that send events by the broker: ``pause``, ``resume``, ``stop``."""

    @property
    def echoes(self) -> int:
        """How many messages and events went no further, because they came from where they would
        have been sent."""
        return self.mirror.echoes

    @property
    def refused(self) -> int:
        """How many consumed messages are not on the bus because it can never take them."""
        return self.mirror.refused


def bridge(
    broker: Broker,
    bus: Bus,
    *,
    to_bus: Mapping[str, str] | TopicOf | bool = False,
    from_bus: Mapping[str, Publisher] | None = None,
    group: str | None = None,
    concurrency: int = 32,
    retry: Retry = _POLICY,
) -> Bridge:
    """Join a FastStream broker and a bus, before either is started.

    ```python
    from faststream.redis import RedisBroker, StreamSub

    from busway import Bus
    from busway_faststream import bridge

    bus = Bus("memory://", service="shop")
    broker = RedisBroker("redis://localhost:6379")
    paid = broker.publisher(stream="payments")
    bridge(broker, bus, to_bus={"orders": "order.placed"}, from_bus={"order.paid": paid})
    ```

    To the bus goes what the app consumes from or publishes to the names in ``to_bus``, as
    ``MirrorToBus`` has it. From the bus, an event goes to the publisher of the most specific
    pattern that matches: as JSON (bytes as they are), with its headers, correlation id and trace
    context as FastStream writes them, its key on Kafka, and its attributes as CloudEvents headers.
    It is acknowledged on the bus when the broker has it; until then it is tried again, in order per
    key.

    What came from the bus is not sent to it again, nor an event to where it came from; they are
    counted as ``echoes``.

    Args:
        broker: FastStream's.
        bus: Starts and stops with the app: ``lifespan=bus.lifespan``.
        to_bus: Topics by the name of a stream, channel or topic; or a function of that name; True
            for all, each under its own name; False for none.
        from_bus: Publishers by pattern.
        group: The bridge's group on the bus. Bridges of one group share its events. Without it,
            ``<service>.faststream``.
        concurrency: How many keys are sent side by side.
        retry: For events that the broker does not take. Without it they are tried for ever, except
            what can never be sent (no JSON, or too large for Kafka), which becomes a dead letter.

    Raises:
        OptionError: there is no broker, nothing to carry, or a publisher is none.
        GroupError: the bus has another subscription in this group.
    """
    if not hasattr(broker, "insert_middleware"):
        raise OptionError(
            f"bridge({broker!r}): it takes a broker of FastStream's, such as RedisBroker(…); an "
            "app without a broker has none to be joined"
        )
    if not to_bus and not from_bus:
        raise OptionError("bridge(): say what it carries: to_bus=, from_bus=, or both")
    mirror = MirrorToBus(bus, topics=_topics(to_bus))
    broker.insert_middleware(mirror)
    name = group or f"{bus.service}.faststream"
    subscriptions = tuple(
        bus.add(
            _sender(broker, _checked(publisher), mirror.ferry),
            pattern,
            group=name,
            concurrency=concurrency,
            order="key",
            retry=retry,
        )
        for pattern, publisher in (from_bus or {}).items()
    )
    return Bridge(mirror, subscriptions)


def _topics(to_bus: Mapping[str, str] | TopicOf | bool) -> Mapping[str, str] | TopicOf | None:
    if to_bus is True:
        return None
    return {} if to_bus is False else to_bus


def _checked(publisher: Publisher) -> Publisher:
    if not callable(getattr(publisher, "publish", None)):
        raise OptionError(f"from_bus: {publisher!r} is no publisher: it takes broker.publisher(…)")
    return publisher


def _sender(
    broker: Broker, publisher: Publisher, ferry: Ferry
) -> Callable[[Envelope], Awaitable[None]]:
    takes_key = "key" in inspect.signature(publisher.publish).parameters
    takes_bytes = _is_redis(broker)

    async def send(envelope: Envelope) -> None:
        # A broker under test never says that it runs, and answers all the same.
        if not broker.running and not await broker.ping(_ANSWER):
            raise _NotUp(_UNTIL_UP, "the broker is not running")
        hops = f"{envelope.headers.get(HOPS, '')} {await ferry.place()}".strip()
        body, content_type = body_of(envelope)
        headers: dict[Any, Any] = headers_of(envelope, hops, content_type)
        if takes_bytes:
            # Headers are put over what FastStream says of its own, such as the correlation id.
            headers["correlation_id"] = envelope.correlation_id
            headers = {_counted(name): _counted(value) for name, value in headers.items()}
        options: dict[str, Any] = {}
        if takes_key and envelope.key is not None:
            options["key"] = envelope.key.encode()
        options["correlation_id"] = envelope.correlation_id
        try:
            await publisher.publish(body, headers=headers, **options)
        except Exception as error:
            if type(error).__name__ in _TOO_LARGE:
                raise TooLarge(f"{envelope.type}: the broker never takes this: {error}") from error
            raise

    return send


def _counted(value: str) -> str | bytes:
    # FastStream's format for Redis writes how many characters a text has, and then its bytes: what
    # is not ASCII would be cut off, and all behind it misread. Of bytes it counts the bytes.
    return value if value.isascii() else value.encode()


def _is_redis(broker: Broker) -> bool:
    redis = sys.modules.get("faststream.redis")
    if redis is None:
        return False
    kinds = (redis.RedisBroker, redis.RedisClusterBroker, redis.RedisSentinelBroker)
    return isinstance(broker, kinds)
