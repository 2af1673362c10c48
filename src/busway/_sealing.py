"""From an event to an envelope: where each attribute comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal


from ._channels import Channels
from ._convert import validate
from ._declared import Declaration, declaration_of, declared_for
from ._runtime import Runtime
from ._topics import check_topic
from .errors import EventError, InvalidEvent, OptionError
from .message import Envelope, PublishOptions, Ref
from .transport import Address, Port, Posts

__all__ = ["Route", "Sealer", "Validate", "due_of"]

Validate = Literal["reject", "warn", "off"]

_TOPICS_KEPT = 10_000
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
        # Nothing has to be looked up in the event but its key, and no field differs from its default.
        self.plain = declared is None or (declared.only_key and declared.version == 1)


class Sealer:
    """Makes the envelopes of one bus."""

    def __init__(self, runtime: Runtime, channels: Channels, check: Validate) -> None:
        self._runtime = runtime
        self._channels = channels
        self._check = check
        self.express: dict[type, Route] = {}
        """Those of ``_by_class`` that need no more than a key; kept by ``open`` and ``close``."""
        self._open = False
        self._by_class: dict[type, Route] = {}
        self._by_topic: dict[str, Route] = {}

    def route_of(self, cls: type) -> Route:
        """The route of an event's class. Raises EventError when it is not declared."""
        route = self._by_class.get(cls)
        if route is None:
            declared = declaration_of(cls)
            if declared is None:
                raise EventError(
                    f"{cls.__qualname__} is not declared as an event: put @event('its.topic') on "
                    "it, or publish by name: publish('its.topic', data)"
                )
            if declared.channel is not None:
                self._channels.declare(declared.topic, declared.channel)
            route = Route(declared.topic, self._channels.of(declared.topic), declared)
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
        if self._open and route.plain and isinstance(transport, Posts):
            route.post = transport.port(route.topic, route.address)
            self.express[cls] = route

    def route_to(self, topic: str) -> Route:
        """The route of a topic. Raises TopicError for a malformed one; checked when first seen."""
        route = self._by_topic.get(topic)
        if route is None:
            check_topic(topic)
            cls = declared_for(topic)
            declared = None if cls is None else declaration_of(cls)
            if declared is not None and declared.channel is not None:
                self._channels.declare(topic, declared.channel)
            if len(self._by_topic) >= _TOPICS_KEPT:
                self._by_topic.clear()
            route = self._by_topic[topic] = Route(topic, self._channels.of(topic), declared)
        return route

    def seal(
        self, event: object, data: object, options: PublishOptions, parent: Envelope | None
    ) -> tuple[Envelope, Route]:
        """An envelope for an event, or for data published by name; an envelope as it is."""
        if isinstance(event, Envelope):
            if data is not None or options.keys() - {"delay"}:
                raise OptionError(
                    "an envelope is never changed: give publish() the envelope alone (delay= is "
                    "allowed), or make a copy with msgspec.structs.replace"
                )
            return event, self.route_to(event.type)
        if isinstance(event, str):
            route = self.route_to(event)
            subject = self._checked(event, data)
        else:
            if data is not None:
                raise OptionError(
                    f"publish({type(event).__qualname__}, data): data goes with a topic's name; an "
                    "event is given alone"
                )
            route = self.route_of(type(event))
            data = subject = event
        return self._envelope(route, data, subject, options, parent), route

    def _checked(self, topic: str, data: object) -> object:
        """What the fields of a declared class are read from; None when that cannot be had."""
        cls = declared_for(topic)
        if cls is None:
            return None
        if self._check == "off" or type(data) is cls:
            return data if type(data) is cls else None
        try:
            return validate(data, cls)
        except InvalidEvent as error:
            if self._check == "reject":
                raise
            self._runtime.log.warning("published all the same: %s", error)
            return None

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
        if route.declared is not None and subject is not None:
            fields.update(_declared(route.declared, subject))
        fields.update(_given(options))
        return Envelope(route.topic, data, **fields)


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


def _declared(declared: Declaration, event: object) -> dict[str, Any]:
    fields: dict[str, Any] = {"schema_version": declared.version}
    getters: dict[str, Callable[[Any], Any] | None] = {
        "subject": declared.key,
        "idempotency_key": declared.idempotency_key,
        "given_correlation_id": declared.correlation_id,
        "tenant": declared.tenant,
    }
    for name, get in getters.items():
        value = None if get is None else get(event)
        if value is not None:
            fields[name] = value if type(value) is str else str(value)
    for name, pair in (("aggregate", declared.aggregate), ("resource", declared.resource)):
        if pair is not None:
            fields[name] = pair(event)
    return fields


_NAMES = {
    "id": "given_id",
    "key": "subject",
    "correlation_id": "given_correlation_id",
}


def _given(options: PublishOptions) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name == "delay":
            continue
        if name == "time":
            fields["timestamp"] = moment(value, "time")
        elif name == "headers":
            fields["headers"] = _headers(value)
        elif name in ("aggregate", "resource"):
            fields[name] = _ref(name, value)
        elif name in PublishOptions.__annotations__:
            fields[_NAMES.get(name, name)] = _text(name, value)
        else:
            known = ", ".join(sorted(PublishOptions.__annotations__))
            raise OptionError(f"unknown option {name}=; known: {known}")
    return fields


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        if value == "" and name in ("id", "source"):
            raise OptionError(f"{name}='': it must not be empty")
        return value
    raise OptionError(f"{name}={value!r}: it takes a text")


def _ref(name: str, value: object) -> Ref | None:
    if value is None:
        return None
    match value:
        case (str(kind), str(identity)):
            return kind, identity
    raise OptionError(f'{name}={value!r}: it takes a pair of texts, such as ("order", "o-1")')


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise OptionError(f"headers={value!r}: it takes a mapping of texts to texts")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise OptionError(f"headers: {name!r}: {text!r}: names and values are texts")
        if name.lower().startswith(_RESERVED_HEADER):
            raise OptionError(f"headers: {name!r}: names that begin with 'busway-' are reserved")
    return dict(value)


def moment(value: object, name: str) -> float:
    """Seconds since 1970 of a datetime with a time zone."""
    if not isinstance(value, datetime):
        raise OptionError(f"{name}={value!r}: it takes a datetime with a time zone")
    if value.tzinfo is None or value.utcoffset() is None:
        raise OptionError(
            f"{name}={value!r} has no time zone: two machines would disagree about when that is. "
            "Use datetime.now(UTC), or value.replace(tzinfo=…)"
        )
    return value.timestamp()


def due_of(options: PublishOptions, now: float) -> float | None:
    """When what is published with these options may be handled; None for at once."""
    if "delay" not in options:
        return None
    delay = options["delay"]
    if isinstance(delay, datetime):
        return moment(delay, "delay")
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if not 0 <= seconds < float("inf"):
        raise OptionError(f"delay={delay!r}: it takes 0 seconds or more, or a moment")
    return now + seconds




def _no_port(envelope: Envelope) -> bool:
    return False
