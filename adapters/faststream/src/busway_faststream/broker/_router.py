"""Routers: subscribers and publishers that a broker includes, under a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

from faststream import AckPolicy

from busway import PublishOptions, SubscribeOptions

from ._compat import EMPTY, ArgsContainer, BrokerRouter, CodecProto, Registrator, SubscriberRoute
from ._config import BusBrokerConfig, RouterConfig
from ._registrator import BusRegistrator

__all__ = ["BusRoute", "BusRoutePublisher", "BusRouter"]


class BusRoutePublisher(ArgsContainer):
    """A publisher of a ``BusRoute``; takes what ``broker.publisher`` takes."""

    def __init__(
        self,
        topic: str | type,
        /,
        *,
        title: str | None = None,
        description: str | None = None,
        schema: Any = None,
        include_in_schema: bool = True,
        **options: Unpack[PublishOptions],
    ) -> None:
        super().__init__(
            topic,
            title=title,
            description=description,
            schema=schema,
            include_in_schema=include_in_schema,
            **options,
        )


class BusRoute(SubscriberRoute):
    """A handler given to a router when it is made; takes what ``broker.subscriber`` takes."""

    def __init__(
        self,
        call: Callable[..., Any],
        pattern: str | type,
        /,
        *more: str | type,
        publishers: Iterable[BusRoutePublisher] = (),
        ack_policy: AckPolicy = EMPTY,
        no_reply: bool = False,
        dependencies: Sequence[Any] = (),
        parser: Callable[..., Any] | None = None,
        decoder: Callable[..., Any] | None = None,
        codec: CodecProto | None = None,
        title: str | None = None,
        description: str | None = None,
        include_in_schema: bool = True,
        **options: Unpack[SubscribeOptions],
    ) -> None:
        super().__init__(
            call,
            pattern,
            *more,
            publishers=publishers,
            ack_policy=ack_policy,
            no_reply=no_reply,
            dependencies=dependencies,
            parser=parser,
            decoder=decoder,
            codec=codec,
            title=title,
            description=description,
            include_in_schema=include_in_schema,
            **options,
        )


class BusRouter(  # pyright: ignore[reportIncompatibleMethodOverride]
    BusRegistrator, BrokerRouter[Any, BusBrokerConfig]
):
    """A part of a broker: ``broker.include_router(router)``.

    Args:
        prefix: Stands before every pattern and topic; topics of declared classes stay as they are.
        handlers: ``BusRoute``s.
        routers: Routers within this one.
        middlewares: Around its handlers, inside of those of the broker.
        dependencies, parser, decoder, codec, include_in_schema: For all of its subscribers.
    """

    def __init__(
        self,
        prefix: str = "",
        handlers: Iterable[BusRoute] = (),
        *,
        routers: Iterable[Registrator[Any, Any]] = (),
        middlewares: Sequence[Any] = (),
        dependencies: Iterable[Any] = (),
        parser: Callable[..., Any] | None = None,
        decoder: Callable[..., Any] | None = None,
        codec: CodecProto | None = None,
        include_in_schema: bool | None = None,
    ) -> None:
        config: Any = RouterConfig(
            prefix=prefix,
            broker_middlewares=middlewares,
            broker_dependencies=tuple(dependencies),
            broker_parser=parser,
            broker_decoder=decoder,
            broker_codec=codec,
            include_in_schema=include_in_schema,
        )
        super().__init__(config=config, handlers=handlers, routers=routers)
