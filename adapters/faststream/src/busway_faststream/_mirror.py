"""From FastStream to the bus: what an app consumes or publishes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faststream import BaseMiddleware, PublishCommand, PublishType, StreamMessage
from faststream.message import SourceType

from busway import Bus, OptionError

from ._conversation import BusMiddleware
from ._ferry import Ferry, TopicOf, Topics
from ._wire import address_of

__all__ = ["MirrorToBus"]

_log = logging.getLogger("busway.faststream")


class MirrorToBus:
    """A middleware of FastStream's brokers: what the app consumes or publishes also goes to a bus.

    ```python
    from faststream.redis import RedisBroker

    from busway import Bus
    from busway_faststream import MirrorToBus

    bus = Bus("memory://", service="shop")
    mirror = MirrorToBus(bus, topics={"orders": "order.placed"})
    broker = RedisBroker("redis://localhost:6379", middlewares=[mirror])
    ```

    The bus has it first: a message is handled, and so acknowledged, once its event is published,
    and ``broker.publish`` sends once the bus has it. While the bus does not take it, it is tried
    again with backoff, for ``patience`` seconds; then the error is raised in FastStream's pipeline,
    whose ack policy decides. A policy that acknowledges first (``ACK_FIRST``, which is the default
    of Kafka's subscribers) can lose an event when the process dies; it is said in the log, once for
    each subscriber.

    What the bus can never take, because it does not fit its topic's class, is no JSON or too large,
    raises when the app publishes it. Consumed, it is an error in the log that names it, is counted
    as ``refused``, and the app handles it all the same: delivered again it would fail again, and
    all behind it would wait.

    An event has the id of its message's place (``orders-1718-0``, ``orders-2-1718``), and one of a
    ``BusBroker`` keeps its own, so that ``dedupe`` recognises one that was delivered twice; the
    message's correlation id, trace context, headers and, on Kafka, key. What came from this bus is
    not sent to it again. Requests and replies of FastStream's RPC are no events.

    It does what ``BusMiddleware`` does, too.

    Args:
        bus: Has to run while the app consumes: ``lifespan=bus.lifespan``. ``fail_open=True`` would
            take away what is promised here.
        topics: The topic for each stream, channel or topic of FastStream's; what is not in it is
            not mirrored. Or a function of that name, whose None says the same. Without it, all are
            mirrored, each under its own name.
        consumed: Whether what the app consumes is mirrored.
        published: Whether what it publishes is.
        patience: Seconds for which an event that the bus does not take is tried again.

    Raises:
        OptionError: an option is out of range.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        topics: Mapping[str, str] | TopicOf | None = None,
        consumed: bool = True,
        published: bool = True,
        patience: float = 30.0,
    ) -> None:
        if not isinstance(bus, Bus):
            raise OptionError(f"MirrorToBus({bus!r}): it takes a Bus")
        if not patience >= 0:
            raise OptionError(f"patience={patience!r}: it takes 0 seconds or more")
        self.ferry = Ferry(bus, Topics(topics), patience)
        self.consumed = consumed
        self.published = published
        self._early: set[str] = set()

    @property
    def bus(self) -> Bus:
        return self.ferry.bus

    @property
    def echoes(self) -> int:
        """How many messages were not mirrored because they came from the bus, or not sent because
        they came from there."""
        return self.ferry.echoes

    @property
    def refused(self) -> int:
        """How many consumed messages are not on the bus because it can never take them."""
        return self.ferry.refused

    def __call__(self, msg: Any, /, *, context: Any) -> BaseMiddleware[Any, Any]:
        made = _Mirroring(msg, context=context)
        made.mirror = self
        return made

    def warn_if_acknowledged(self, msg: StreamMessage[Any]) -> None:
        """Say once for each address that a message was acknowledged before the bus has it."""
        address = address_of(msg.raw_message)
        if msg.committed is None or address in self._early:
            return
        self._early.add(address)
        _log.warning(
            "messages of %r are acknowledged before the bus has them, so that one can be lost when "
            "this process dies: give its subscriber ack_policy=AckPolicy.NACK_ON_ERROR",
            address,
        )


class _Mirroring(BusMiddleware):
    __slots__ = ("mirror",)

    mirror: MirrorToBus

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        mirror = self.mirror
        taken = mirror.consumed and msg.source_type is SourceType.CONSUME
        if taken and await mirror.ferry.bring(msg):
            mirror.warn_if_acknowledged(msg)
        return await super().consume_scope(call_next, msg)

    async def publish_scope(
        self, call_next: Callable[[PublishCommand], Awaitable[Any]], cmd: PublishCommand
    ) -> Any:
        ferry = self.mirror.ferry
        if cmd.publish_type is PublishType.PUBLISH:
            if ferry.returns(cmd):
                return None
            if self.mirror.published:
                await ferry.bring_command(cmd)
        return await super().publish_scope(call_next, cmd)
