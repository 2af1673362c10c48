"""From an event to an envelope: where each attribute comes from."""

from __future__ import annotations

from typing import Any, Literal

from ._channels import Channels
from ._convert import validate
from ._declared import Declaration, changes, declaration_of, declared_for
from ._declaring import Loose, declared_fields
from ._options import given_fields
from ._runtime import Runtime
from ._topics import check_topic
from .errors import EventError, InvalidEvent, OptionError
from .message import Envelope, PublishOptions
from .transport import Address, Port, Posts

__all__ = ["Route", "Sealer", "Validate"]

Validate = Literal["reject", "warn", "off"]

_KEPT = 10_000
_RESERVED_HEADER = "busway-"


class Route:
    """What is the same for all events of a class, or of a topic."""

    __slots__ = ("address", "declared", "key", "plain", "post", "topic")

    def __init__(self, topic: str, channel: str, declared: Declaration | None) -> None:
        self.topic = topic
        self.post: Port = _no_port
        self.address = Address(channel)
        self.declared = declared
        self.key = declared.key if declared is not None else None
        # Nothing is looked up in the event but its key, and no field differs from its default.
        self.plain = declared is None or (declared.only_key and declared.version == 1)


class Sealer:
    """Makes the envelopes of one bus."""

    def __init__(self, runtime: Runtime, channels: Channels, check: Validate) -> None:
        self._runtime = runtime
        self._channels = channels
        self._check = check
        self.express: dict[type, Route] = {}
        """Those of ``_by_class`` that need no more than a key; see ``open`` and ``close``."""
        self._open = False
        self._by_class: dict[type, Route] = {}
        self._by_topic: dict[str, Route] = {}
        self._changes = changes()

    def route_of(self, cls: type) -> Route:
        """The route of an event's class. Raises EventError when it is not declared."""
        route = self._by_class.get(cls)
        if route is None:
            declared = declaration_of(cls)
            if declared is None and cls.__module__ == "builtins":
                raise EventError(
                    f"data of type {cls.__qualname__} does not say its topic: publish it by name: "
                    "publish('its.topic', data)"
                )
            if declared is None:
                raise EventError(
                    f"{cls.__qualname__} is not declared as an event: put @event('its.topic') on "
                    "it, or publish by name: publish('its.topic', data)"
                )
            if declared.channel is not None:
                self._channels.declare(declared.topic, declared.channel)
            route = Route(declared.topic, self._channels.of(declared.topic), declared)
            if len(self._by_class) >= _KEPT:
                self._by_class.clear()
                self.express.clear()
            self._by_class[cls] = route
            self._expose(cls, route)
        return route

    def open(self) -> None:
        """The bus runs: what is plain may be published without asking anything more."""
        self._open = True
        for cls, route in self._by_class.items():
            self._expose(cls, route)

    def close(self) -> None:
        """Every publish has to ask from now on."""
        self._open = False
        self.express.clear()

    def _expose(self, cls: type, route: Route) -> None:
        transport = self._runtime.transport
        if self._open and route.plain:
            if isinstance(transport, Posts):
                route.post = transport.port(route.topic, route.address)
            self.express[cls] = route

    def route_to(self, topic: str) -> Route:
        """The route of a topic. Raises TopicError for a malformed one; checked when first seen."""
        if self._changes != changes():
            self._by_topic.clear()  # a class was declared: one of these may be its topic
            self._changes = changes()
        route = self._by_topic.get(topic) if isinstance(topic, str) else None
        if route is None:
            check_topic(topic)
            cls = declared_for(topic)
            declared = None if cls is None else declaration_of(cls)
            if declared is not None and declared.channel is not None:
                self._channels.declare(topic, declared.channel)
            if len(self._by_topic) >= _KEPT:
                self._by_topic.clear()
            route = self._by_topic[topic] = Route(topic, self._channels.of(topic), declared)
        return route

    def seal(
        self, event: object, data: object, options: PublishOptions, parent: Envelope | None
    ) -> tuple[Envelope, Route]:
        """An envelope for an event, or for data published by name; an envelope as it is."""
        if isinstance(event, Envelope):
            return self._ready_made(event, data, options)
        if isinstance(event, str):
            route = self.route_to(event)
            subject = self._checked(event, data)
        else:
            if data is not None:
                raise OptionError(
                    f"publish({type(event).__qualname__}, data): data goes with a topic's name; an "
                    "event is given alone"
                )
            if isinstance(event, type):
                raise EventError(
                    f"publish({event.__qualname__}): that is the class itself; publish an event of "
                    f"it: {event.__qualname__}(...)"
                )
            route = self.route_of(type(event))
            if route.plain and parent is None and not options:
                return self._plain(route, event), route
            data = subject = event
        return self._envelope(route, data, subject, options, parent), route

    def _plain(self, route: Route, event: object) -> Envelope:
        """What ``_envelope`` would make of an event that has nothing but a key."""
        key = None if route.key is None else route.key(event)
        if type(key) is not str and key is not None:
            key = str(key)
        runtime = self._runtime
        return Envelope(route.topic, event, runtime.service, runtime.clock.time(), key)

    def _ready_made(
        self, envelope: Envelope, data: object, options: PublishOptions
    ) -> tuple[Envelope, Route]:
        if data is not None or options.keys() - {"delay"}:
            raise OptionError(
                "an envelope is never changed: give publish() the envelope alone (delay= is "
                "allowed), or make a copy with msgspec.structs.replace"
            )
        route = self.route_to(envelope.type)
        if not envelope.source:
            raise OptionError(
                f"an envelope of {envelope.type} has no source: make it with bus.envelope(event) "
                "or message.child(event), which fill it in"
            )
        return envelope, route

    def _checked(self, topic: str, data: object) -> object:
        """What the fields of a declared class are read from; None when that cannot be had."""
        cls: type[object] | None = declared_for(topic)
        if cls is None or type(data) is cls:
            return None if cls is None else data
        if self._check == "off":
            return Loose(data)
        try:
            checked: object = validate(data, cls)
        except InvalidEvent as error:
            if self._check == "reject":
                raise InvalidEvent(
                    f"{topic}: {error}. Nothing was sent: correct the data, or the class"
                ) from error
            self._runtime.log.warning("%s: published all the same: %s", topic, error)
            return Loose(data)
        return checked

    def _envelope(
        self,
        route: Route,
        data: object,
        subject: object,
        options: PublishOptions,
        parent: Envelope | None,
    ) -> Envelope:
        fields: dict[str, Any] = {
            "source": self._runtime.service,
            "timestamp": self._runtime.clock.time(),
        }
        if parent is not None:
            fields.update(_inherited(parent))
        if route.declared is not None:
            fields["schema_version"] = route.declared.version
            if subject is not None:
                fields.update(self._found(route.declared, subject))
        fields.update(given_fields(options))
        return Envelope(route.topic, data, **fields)

    def _found(self, declared: Declaration, subject: object) -> dict[str, Any]:
        try:
            return declared_fields(declared, subject)
        except Exception as error:
            if not isinstance(subject, Loose):
                raise
            # The data was let through unchecked, so what reads it cannot rely on anything.
            self._runtime.log.warning("%s: no key or the like: %r", declared.topic, error)
            return {}


def _inherited(parent: Envelope) -> dict[str, Any]:
    """Correlation, tenant, user and trace; never key, aggregate, resource or idempotency key."""
    return {
        "given_correlation_id": parent.correlation_id,
        "causation_id": parent.id,
        "tenant": parent.tenant,
        "user": parent.user,
        "traceparent": parent.traceparent,
        "tracestate": parent.tracestate,
    }


def _no_port(envelope: Envelope) -> bool:
    return False
