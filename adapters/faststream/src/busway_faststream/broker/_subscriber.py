"""A subscriber: a subscription of the bus whose handler is FastStream's pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import count
from typing import Any, cast

from faststream.exceptions import SetupError
from faststream.response import Response

from busway import HandlerError, OptionError, SubscribeOptions, Subscription, UsageError

from ._address import Address
from ._compat import CallsCollection, HandlerItem, SubscriberUsecase
from ._config import BusBrokerConfig, SubscriberConfig
from ._contexts import look_up_at_once
from ._data import plain
from ._delivering import Delivering
from ._message import BusBatchMessage, BusMessage
from ._pipeline import Pipeline
from ._publisher import ReplyPublisher
from ._pulling import Pull
from ._reading import check_parameters, check_that_it_runs, decoder_of
from ._specification import BusSubscriberSpecification

__all__ = ["BusSubscriber"]


_numbers = count(1)


class BusSubscriber(SubscriberUsecase[Any]):
    """What ``broker.subscriber(...)`` returns.

    The bus lends an event, the pipeline runs the handler, and how it ended is told to the bus,
    which acknowledges, tries again or sets aside.
    """

    def __init__(
        self,
        config: SubscriberConfig,
        specification: BusSubscriberSpecification,
        calls: CallsCollection[Any],
    ) -> None:
        config.parser, config.decoder = self.parse_message, self.decode_message
        described: Any = specification
        super().__init__(config, described, calls)
        self._own = config
        self.is_batch = config.options.get("batch") is not None
        self.is_silent = config.no_reply
        self._shaped: list[Address] | None = None
        """The addresses that have parameters, once an event has asked."""
        self.delivering: Delivering | None = None
        """What the bus calls, once the handler was resolved."""
        self.reads = False
        """Whether its events are decoded here, and not by a decoder or a codec it was given."""
        self._pipeline: Pipeline | None = None
        self._subscription: Subscription | None = None
        self._pull: Pull | None = None

    @property
    def outer(self) -> BusBrokerConfig:
        """The configuration of its broker and routers."""
        return cast("BusBrokerConfig", self._outer_config)

    @property
    def addresses(self) -> list[Address]:
        """Where it listens: with the prefixes of the routers that it has by now."""
        return self._own.places.addresses(self.outer.prefix)

    @property
    def group(self) -> str:
        """The bus's group that it is a member of."""
        given = self._own.options.get("group")
        return given or f"{self.outer.bus.service}.{self.handler_name}"

    @property
    def has_own_group(self) -> bool:
        """Whether its group was named."""
        return self._own.options.get("group") is not None

    @property
    def function(self) -> Callable[..., Any] | None:
        """The first of its handlers, as it was written."""
        return self.calls[0].handler._declared_call if self.calls else None  # pyright: ignore[reportPrivateUsage]

    @property
    def handler_name(self) -> str:
        if self.function is None:
            return "subscriber"
        name = getattr(self.function, "__qualname__", None) or type(self.function).__qualname__
        return str(name).rpartition(".<locals>.")[2]

    async def start(self) -> None:
        """Returns when the group receives."""
        if self.calls:
            self.subscribe()
            assert self._subscription is not None
            await self._subscription.ready()
        else:
            await self._pulling().start()
        self.outer.logger.log(
            f"`{self.specification.call_name}` waiting for messages",
            extra=self.get_log_context(None),
        )
        self._post_start()

    def subscribe(self) -> None:
        """Resolve the handlers and put them into their group, whether the bus runs or not; twice
        is harmless. Raises HandlerError and what ``bus.add`` raises."""
        if self._subscription is None and self.calls:
            self.delivering = Delivering(self, self._own.policy)
            self._build_fastdepends_model()
            self._subscription = self.add(self.delivering.handler())

    def add(self, handler: Callable[..., Any]) -> Subscription:
        """Subscribe something else than its handlers."""
        options: SubscribeOptions = {**self._own.options}
        if not self.calls:
            self._check_that_one_is_asked_for()
        if not self.calls and not self.has_own_group:
            # Each is a group of its own: what is asked for by one is missed by nobody else.
            options["group"] = f"{self.outer.bus.service}.asked-{next(_numbers)}"
            options["broadcast"] = True
        addresses = self.addresses
        return self.outer.bus.add(handler, *(each.pattern for each in addresses), **options)

    def _check_that_one_is_asked_for(self) -> None:
        given = {name for name in ("batch", "timeout") if self._own.options.get(name) is not None}
        if self._own.options.get("concurrency", 1) != 1:
            given.add("concurrency")
        if given:
            raise OptionError(
                f"a subscriber without a handler is asked for one event after another: it takes no "
                f"{', '.join(sorted(given))}="
            )

    async def stop(self) -> None:
        """Take it back: what it is handling is finished first."""
        self.running = False
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.stop()
        await self.stop_asking()

    async def stop_asking(self) -> None:
        """Give back what was asked for and not acknowledged."""
        if self._pull is not None:
            await self._pull.stop()

    def _build_fastdepends_model(self) -> None:
        # FastStream builds it again for its AsyncAPI page, while the bus calls what it has: that
        # is also so while it is taken back and finishes what runs. Only a start renews it.
        if self.delivering is None:
            self.delivering = Delivering(self, self._own.policy)
        for call in self.calls:
            check_that_it_runs(call)
        try:
            super()._build_fastdepends_model()
        except (SetupError, UsageError):
            raise
        except Exception as error:
            raise HandlerError(
                f"{self.handler_name}: FastStream cannot resolve its parameters: {error}. Each has "
                "to be a part of the event, of a type that pydantic or msgspec knows, or come "
                "from Depends, Context, Header or Path"
            ) from error
        for call in self.calls:
            self._read_for(call)
        self._pipeline = Pipeline.of(self)

    def _read_for(self, call: HandlerItem[Any]) -> None:
        if self.outer.fd_config.use_fastdepends:
            check_parameters(call)
            look_up_at_once(call)
            if call.decoder == self.decode_message:
                self.reads = True
                call.decoder = decoder_of(call, batch=self.is_batch)

    async def process_message(self, msg: Any) -> Response:
        pipeline = self._pipeline
        if pipeline is not None:
            return await pipeline.run(msg)
        return await super().process_message(msg)

    async def parse_message(self, raw: Any) -> BusMessage:
        settled = None if self.delivering is None else self.delivering.settle
        if self.is_batch:
            return BusBatchMessage(raw, path={}, settled=settled)
        path = {} if self._shaped == [] else self._path_of(raw.topic)
        return BusMessage(raw, path=path, settled=settled)

    async def decode_message(self, message: BusMessage) -> Any:
        """For a handler that nothing was found out about: builtins."""
        if isinstance(message, BusBatchMessage):
            return [plain(each.envelope) for each in message.raw_message]
        return plain(message.raw_message.envelope)

    def _path_of(self, topic: str) -> dict[str, Any]:
        shaped = self._shaped
        if shaped is None:
            shaped = self._shaped = [each for each in self.addresses if each.shapes]
        for address in shaped:
            path = address.path_of(topic)
            if path:
                return path
        return {}

    def _make_response_publisher(self, message: Any) -> Sequence[ReplyPublisher]:
        return (ReplyPublisher(self.outer.producer, message.reply_to),)

    def answers(self, message: BusMessage) -> Iterable[ReplyPublisher]:
        """Who sends the result to the topic that the event names for it."""
        if self.is_silent or not message.reply_to:
            return ()
        return self._make_response_publisher(message)

    def get_log_context(self, message: Any) -> dict[str, str]:
        if message is None:
            topic = ", ".join(each.template for each in self.addresses)
            return {"topic": topic, "group": self.group, "message_id": ""}
        raw = message.first if isinstance(message, BusBatchMessage) else message.raw_message
        return {"topic": raw.topic, "group": raw.group, "message_id": message.message_id}

    async def get_one(self, *, timeout: float = 5.0) -> BusMessage | None:
        """The next event, of a subscriber that has no handler; None when none came within
        ``timeout`` seconds. It is acknowledged by ``ack``, or when the next one is asked for."""
        return await self._pulling().get_one(timeout)

    def __aiter__(self) -> AsyncIterator[BusMessage]:
        return self._pulling().all()

    def _pulling(self) -> Pull:
        if self.calls:
            raise SetupError("get_one() and `async for` are for a subscriber without a handler")
        if self._pull is None:
            self._pull = Pull(self)
        return self._pull
