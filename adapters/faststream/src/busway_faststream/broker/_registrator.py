"""``subscriber`` and ``publisher``, which the broker and its routers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from faststream import AckPolicy

from busway import Bus, HandlerError, OptionError, PublishOptions, SubscribeOptions

from ._compat import EMPTY, CallsCollection, CodecProto, Registrator
from ._config import (
    BusBrokerConfig,
    Places,
    PublisherConfig,
    PublisherDescription,
    SubscriberConfig,
    SubscriberDescription,
)
from ._outcome import retrying_nacks
from ._publisher import BusPublisher
from ._specification import BusPublisherSpecification, BusSubscriberSpecification
from ._subscriber import BusSubscriber

__all__ = ["BusRegistrator"]

Named = Callable[..., Any]


class BusRegistrator(Registrator[Any, BusBrokerConfig]):
    """Where subscribers and publishers are registered."""

    def subscriber(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        pattern: str | type,
        /,
        *more: str | type,
        ack_policy: AckPolicy = EMPTY,
        no_reply: bool = False,
        dependencies: Sequence[Any] = (),
        parser: Callable[..., Any] | None = None,
        decoder: Callable[..., Any] | None = None,
        codec: CodecProto | None = None,
        persistent: bool = True,
        title: str | None = None,
        description: str | None = None,
        include_in_schema: bool = True,
        **options: Unpack[SubscribeOptions],
    ) -> BusSubscriber:
        """Subscribe a handler to patterns, or to declared event classes.

        ``"order.{kind}"`` is the pattern ``order.*`` and a ``Path`` parameter; ``{a,b}`` are
        alternatives. ``options`` are those of ``bus.subscribe``: group, concurrency, order, retry,
        timeout, batch, broadcast, start, dedupe, middleware.

        Args:
            ack_policy: What an error of the handler means. ``NACK_ON_ERROR`` (the default): a
                failed attempt, of which the retry policy decides; ``REJECT_ON_ERROR``: a dead
                letter at once; ``ACK``: nothing; ``MANUAL``: the handler says it, by ``ack``,
                ``nack`` or ``reject``.
            no_reply: Answer no request.
            dependencies: ``Depends(...)`` to be resolved before each event.
            parser, decoder, codec: As with any broker of FastStream's.
            persistent: Whether the broker keeps it alive.
            title, description, include_in_schema: For the AsyncAPI document.

        Raises:
            OptionError: an option is unknown or out of range.
        """
        given: object = pattern
        if not isinstance(given, str | type):
            raise HandlerError(
                "@broker.subscriber stands without a pattern: write "
                '@broker.subscriber("its.topic") or @broker.subscriber(ItsEvent)'
            )
        places = Places(pattern, *more)
        # What is around it is known when it is asked: routers are included later.
        config: Any = self.config
        calls: CallsCollection[Any] = CallsCollection()
        subscriber = BusSubscriber(
            SubscriberConfig(
                _outer_config=config,
                places=places,
                options=retrying_nacks(checked(options)),
                no_reply=no_reply,
                _ack_policy=ack_policy,
            ),
            BusSubscriberSpecification(
                config,
                SubscriberDescription(
                    places=places,
                    title_=title,
                    description_=description,
                    include_in_schema=include_in_schema,
                ),
                calls,
            ),
            calls,
        )
        super().subscriber(subscriber, persistent=persistent)
        return subscriber.add_call(
            parser_=parser, decoder_=decoder, codec_=codec, dependencies_=tuple(dependencies)
        )

    def publisher(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        topic: str | type,
        /,
        *,
        persistent: bool = True,
        title: str | None = None,
        description: str | None = None,
        schema: Any = None,
        include_in_schema: bool = True,
        **options: Unpack[PublishOptions],
    ) -> BusPublisher:
        """Publish on a topic: a handler's results, or by hand. ``options`` go with every event.

        Args:
            topic: Its name, or the class declared for it.
            persistent: Whether the broker keeps it alive.
            title, description, schema, include_in_schema: For the AsyncAPI document; ``schema`` is
                the type of what is published, else what the handlers say they return.

        Raises:
            HandlerError: it stands without a topic.
            TopicError, EventError: nothing can be published there.
            OptionError: an option is unknown or of another type.
        """
        config: Any = self.config
        places = published_to(topic, config.prefix, options)
        publisher = BusPublisher(
            PublisherConfig(_outer_config=config, places=places, options={**options}),
            BusPublisherSpecification(
                config,
                PublisherDescription(
                    places=places,
                    title_=title,
                    description_=description,
                    schema_=schema,
                    include_in_schema=include_in_schema,
                ),
            ),
        )
        super().publisher(publisher, persistent=persistent)
        return publisher


def checked(options: SubscribeOptions) -> SubscribeOptions:
    """Raises OptionError for one that there is not; the bus looks at the values."""
    for name in options:
        if name not in SubscribeOptions.__annotations__:
            known = ", ".join(sorted(SubscribeOptions.__annotations__))
            raise OptionError(f"unknown option {name}=; known: {known}")
    return options


def published_to(topic: object, prefix: str, options: PublishOptions) -> Places:
    """Where a publisher publishes. Else each of its events would fail, when its handler has run."""
    if not isinstance(topic, str | type):
        raise HandlerError(
            '@broker.publisher stands without a topic: write @broker.publisher("its.topic") or '
            "@broker.publisher(ItsEvent)"
        )
    places = Places(topic)
    said: dict[str, Any] = {name: value for name, value in options.items() if name != "delay"}
    (address,) = places.addresses(prefix)
    # The data is not known yet, so nothing is said of it.
    Bus("null://", validate="off").envelope(address.template, None, **said)
    return places
