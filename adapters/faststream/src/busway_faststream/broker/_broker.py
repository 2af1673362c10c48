"""The broker: what an application of FastStream's is made with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import anyio
from faststream.context import ContextRepo
from faststream.response import PublishType
from faststream.security import BaseSecurity
from faststream.specification.schema import BrokerSpec

from busway import Bus, Envelope, PublishOptions, Retry

from ._compat import (
    EMPTY,
    BrokerUsecase,
    CodecProto,
    FastDependsConfig,
    Registrator,
    make_logger_state,
)
from ._config import BusBrokerConfig
from ._logging import BusLoggerStorage
from ._message import BusMessage
from ._names import check_groups, check_groups_where_it_is, claimed, let_go
from ._producer import BusProducer
from ._publisher import command
from ._registrator import BusRegistrator
from ._subscriber import BusSubscriber
from ._urls import bus_of, protocol_of, public_urls

__all__ = ["BusBroker"]


class BusBroker(  # pyright: ignore[reportIncompatibleMethodOverride]
    BusRegistrator, BrokerUsecase[Any, Bus, BusBrokerConfig]
):
    """The bus as a broker of FastStream's.

    ```python
    from faststream import FastStream
    from busway_faststream import BusBroker

    broker = BusBroker("memory://", service="shop")

    @broker.subscriber("order.*", group="billing", concurrency=8)
    async def charge(order: dict) -> None: ...

    app = FastStream(broker)
    ```

    The bus acknowledges, retries, keeps the order and sets aside; FastStream's pipeline runs the
    handlers, with all it gives them. A bus that runs already is used and left running; any other is
    started and stopped with the broker.

    Args:
        bus: A URL of the bus's, or a ``Bus``, which takes every other option of it.
        service: The name of this service, as ``Bus`` takes it; a URL of a broker requires one.
        retry: As ``Bus`` takes it.
        graceful_timeout: Seconds that a stop may take for what is being handled; 0 or None cuts
            it off at once, and gives it back.
        ack_policy: For subscribers that say nothing else; see ``subscriber``.
        middlewares, dependencies, parser, decoder, codec, routers: As with any broker.
        logger, log_level: The access log, for which None is none; the bus has a log of its own.
        apply_types, serializer, provider, context: How handlers are resolved.
        specification_url, protocol, protocol_version, description, tags, security: For the AsyncAPI
            document. A user, a password and a query are never shown.

    Raises:
        OptionError, UnknownTransport: what ``Bus`` raises.
    """

    def __init__(
        self,
        bus: str | Bus = "memory://",
        *,
        service: str | None = None,
        retry: Retry | None = None,
        graceful_timeout: float | None = 15.0,
        ack_policy: Any = EMPTY,
        middlewares: Sequence[Any] = (),
        dependencies: Iterable[Any] = (),
        parser: Callable[..., Any] | None = None,
        decoder: Callable[..., Any] | None = None,
        codec: CodecProto | None = None,
        routers: Iterable[Registrator[Any, Any]] = (),
        logger: Any = EMPTY,
        log_level: int = logging.INFO,
        apply_types: bool = True,
        serializer: Any = EMPTY,
        provider: Any = None,
        context: ContextRepo | None = None,
        specification_url: str | Iterable[str] | None = None,
        protocol: str | None = None,
        protocol_version: str | None = None,
        description: str | None = None,
        tags: Iterable[Any] = (),
        security: BaseSecurity | None = None,
    ) -> None:
        made = bus_of(bus, service, retry)
        self._producing = BusProducer(made, parser, decoder, codec)
        self._starts_bus = False
        given = {"provider": provider} if provider is not None else {}
        config = BusBrokerConfig(
            bus=made,
            url=bus if isinstance(bus, str) else None,
            producer=self._producing,
            broker_middlewares=middlewares,
            broker_dependencies=tuple(dependencies),
            broker_parser=parser,
            broker_decoder=decoder,
            broker_codec=codec,
            ack_policy=ack_policy,
            graceful_timeout=graceful_timeout,
            extra_context={"broker": self, "bus": made},
            logger=make_logger_state(
                logger=logger, log_level=log_level, default_storage_cls=BusLoggerStorage
            ),
            fd_config=FastDependsConfig(
                use_fastdepends=apply_types,
                serializer=serializer,
                context=context or ContextRepo(),
                **given,
            ),
        )
        urls = public_urls(specification_url or bus)
        specification = BrokerSpec(
            url=urls,
            protocol=protocol or protocol_of(urls[0]),
            protocol_version=protocol_version,
            description=description,
            tags=tags,
            security=security,
        )
        super().__init__(config=config, specification=specification, routers=routers)

    @property
    def bus(self) -> Bus:
        """The bus that it speaks to."""
        return self.config.broker_config.bus

    async def start(self) -> None:
        """Subscribe every handler and start the bus; returns when all groups receive.

        Raises HandlerError, GroupError and TransportError: then nothing is left running.
        """
        claimed(self)
        try:
            check_groups(self)
            # Before the bus runs: a group opens once, with all its patterns.
            for each in self._own_subscribers():
                each.subscribe()
            await self.connect()
            await check_groups_where_it_is(self)
            await super().start()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise

    async def _connect(self) -> Bus:
        # What a handler needs is there before the bus hands it the first event.
        self._setup_logger()
        self._producing.connected = True
        if not self.bus.running:
            try:
                await self.bus.start()
            except BaseException:
                self._producing.connected = False
                raise
            self._starts_bus = True
        return self.bus

    async def stop(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> None:
        """Stop receiving, finish what is being handled, and the bus if the broker started it."""
        deadline = anyio.current_time() + self._grace
        try:
            try:
                with anyio.CancelScope(deadline=deadline):
                    for each in self._own_subscribers():
                        # Else the bus would wait for somebody to acknowledge what was asked for.
                        await each.stop_asking()
            finally:
                if self._starts_bus:
                    self._starts_bus = False
                    await self.bus.stop(grace=max(0.0, deadline - anyio.current_time()))
            # Of a bus that goes on: who started it cuts off what takes longer.
            with anyio.CancelScope(deadline=deadline):
                await super().stop(exc_type, exc_val, exc_tb)
        finally:
            let_go(self)
            # Also when what runs took longer than the grace.
            self.running = False
            self._connection = None
            self._producing.connected = False

    def _own_subscribers(self) -> list[BusSubscriber]:
        return [each for each in self.subscribers if isinstance(each, BusSubscriber)]

    @property
    def _grace(self) -> float:
        return self.config.graceful_timeout or 0.0

    async def ping(self, timeout: float | None = None) -> bool:
        """Whether the bus takes events."""
        return self.bus.running

    async def publish(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        message: Any = None,
        topic: str = "",
        *,
        reply_to: str = "",
        **options: Unpack[PublishOptions],
    ) -> Envelope:
        """Publish an event of a declared class, or any data by a topic's name; returns its envelope
        when the bus has it. Inside of a handler it is a child of what is handled.

        ``reply_to`` is a topic: what a handler of FastStream's returns for this event is published
        there. See ``busway.PublishOptions`` for the options.

        Raises what ``Bus.publish`` raises, and StateError while the broker is not started.
        """
        cmd = command(message, topic, PublishType.PUBLISH, reply_to=reply_to, **options)
        sent: Envelope = await self._basic_publish(cmd, producer=self.config.producer)
        return sent

    async def publish_batch(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *messages: Any, topic: str, **options: Unpack[PublishOptions]
    ) -> list[Envelope]:
        """Publish several on one topic, in their order, in as few writes as there can be.

        Raises what ``Bus.publish_many`` raises.
        """
        cmd = command(None, topic, PublishType.PUBLISH, **options)
        cmd.batch_bodies = messages
        sent: list[Envelope] = await self._basic_publish_batch(cmd, producer=self.config.producer)
        return sent

    async def request(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        message: Any = None,
        topic: str = "",
        *,
        timeout: float = 30.0,
        **options: Unpack[PublishOptions],
    ) -> BusMessage:
        """Publish and await one reply, the first. Raises what ``Bus.request`` raises."""
        cmd = command(message, topic, PublishType.REQUEST, **options)
        cmd.timeout = timeout
        reply: BusMessage = await self._basic_request(cmd, producer=self.config.producer)
        return reply
