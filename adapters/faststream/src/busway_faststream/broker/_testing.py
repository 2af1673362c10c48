"""``TestBusBroker``: handlers run inside of ``publish``, without a bus."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from faststream.exceptions import HandlerException, SubscriberNotFound
from faststream.response import PublishCommand, Response, ensure_response

from busway import Envelope, Message, matches
from busway.codec import JsonCodec, decode

from ._broker import BusBroker
from ._compat import TestBroker, change_producer
from ._data import reader_of, sendable
from ._producer import BusProducer, Reply
from ._publisher import BusPublisher
from ._ranks import rank
from ._reading import batch_item
from ._subscriber import BusSubscriber

__all__ = ["TestBusBroker"]


class TestBusBroker(TestBroker[BusBroker, Any], broker=BusBroker):
    """Test an application's handlers without a server, as with any broker of FastStream's.

    ``publish`` runs every handler that the event would have come to, of each group the most
    specific one, and raises what a handler raises; events are written and read on the way. Nothing
    is retried, delayed or set aside: for that test with ``BusBroker("memory://")`` itself.
    """

    @contextmanager
    def _patch_producer(self, broker: BusBroker) -> Generator[None, None, None]:
        fake = _Inline(broker, self.brokers)
        with change_producer(broker.config.broker_config, fake):
            yield

    async def _fake_connect(self, broker: BusBroker, *args: Any, **kwargs: Any) -> Any:
        return broker.bus

    def create_publisher_fake_subscriber(
        self, broker: BusBroker, publisher: Any
    ) -> tuple[BusSubscriber, bool]:
        assert isinstance(publisher, BusPublisher)
        topic = publisher.topic
        for each in _subscribers(self.brokers):
            if any(matches(address.pattern, topic) for address in each.addresses):
                return each, True
        return broker.subscriber(topic, group=f"test.{topic}", persistent=False), False


def _subscribers(brokers: tuple[BusBroker, ...]) -> Iterator[BusSubscriber]:
    for broker in brokers:
        for each in broker.subscribers:
            assert isinstance(each, BusSubscriber)
            yield each


class _Inline(BusProducer):
    """Hands what is published straight to the handlers."""

    def __init__(self, broker: BusBroker, brokers: tuple[BusBroker, ...]) -> None:
        config = broker.config
        super().__init__(broker.bus, config.broker_parser, config.broker_decoder)
        if config.broker_codec is not None:
            self.use(config.broker_codec)
        self.connected = True
        self._context = config.context
        self._brokers = brokers

    async def publish(self, cmd: PublishCommand) -> Envelope:
        event, _ = await self.sealed(cmd, cmd.body)
        for each in self._takers(event.topic):
            await _run(each, [event])
        return event

    async def publish_batch(self, cmd: PublishCommand) -> list[Envelope]:
        events = [(await self.sealed(cmd, body))[0] for body in cmd.batch_bodies]
        for each in self._takers(cmd.destination):
            if each.is_batch:
                await _run(each, events)
            else:
                for event in events:
                    await _run(each, [event])
        return events

    async def request(self, cmd: PublishCommand) -> Message[Any]:
        event, _ = await self.sealed(cmd, cmd.body)
        for each in self._takers(event.topic):
            response = await _run(each, [event])
            return self.reply_to(event, sendable(response.body))
        raise SubscriberNotFound(f"nobody takes {event.topic}")

    def envelope(self, topic: str, data: Any, options: dict[str, Any]) -> Envelope:
        parent = self._context.get_local("message")
        raw = getattr(parent, "raw_message", None)
        if isinstance(raw, Message):
            return raw.child(topic, data, **options)
        return self.bus.envelope(topic, data, **options)

    def _takers(self, topic: str) -> list[BusSubscriber]:
        """Of each group one."""
        best: dict[str, tuple[Any, BusSubscriber]] = {}
        for each in _subscribers(self._brokers):
            patterns = [address.pattern for address in each.addresses]
            ranks = [rank(pattern) for pattern in patterns if matches(pattern, topic)]
            if not ranks:
                continue
            known = best.get(each.group)
            if known is None or min(ranks) < known[0]:
                best[each.group] = (min(ranks), each)
        return [each for _, each in best.values()]


async def _run(subscriber: BusSubscriber, events: list[Envelope]) -> Response:
    """What the bus would do, once. What only says what shall become of an event is no error."""
    lent = [_lent(subscriber, each) for each in events]
    try:
        return await subscriber.process_message(lent if subscriber.is_batch else lent[0])
    except HandlerException:
        return ensure_response(None)


def _lent(subscriber: BusSubscriber, event: Envelope) -> Message[Any]:
    arrived = decode(JsonCodec().encode(event))
    data = arrived.data
    if subscriber.is_batch:
        data = reader_of(batch_item(subscriber.calls[0]))(arrived)
    return Message(arrived, data, subscriber.group, Reply(), subscriber.outer.bus)
