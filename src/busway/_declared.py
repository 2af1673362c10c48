"""``@event``: which class stands for which topic, and where in it the envelope's fields are."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from ._fields import Field, getter, pair
from ._pydantic import generic_of, is_of_version_1
from ._topics import check_topic
from ._typeddict import is_typeddict
from ._verdict import Retry
from .errors import EventError, TopicError
from .message import Ref

__all__ = ["Declaration", "changes", "declaration_of", "declared_for", "declared_topics", "event"]

C = TypeVar("C", bound=type)


class Declaration(msgspec.Struct, frozen=True):
    """What ``@event`` said about a class."""

    topic: str
    place: str
    """File and line, for messages."""
    version: int = 1
    channel: str | None = None
    retry: Retry | None = None
    key: Callable[[Any], Any] | None = None
    idempotency_key: Callable[[Any], Any] | None = None
    correlation_id: Callable[[Any], Any] | None = None
    aggregate: Callable[[Any], Ref | None] | None = None
    resource: Callable[[Any], Ref | None] | None = None
    tenant: Callable[[Any], Any] | None = None

    @property
    def only_key(self) -> bool:
        """Whether the key is all that has to be looked up in an event."""
        others = (
            self.idempotency_key,
            self.correlation_id,
            self.aggregate,
            self.resource,
            self.tenant,
        )
        return all(other is None for other in others)


# The one registry of the process, by topic. Weak: a class nobody uses any more declares nothing.
_classes: WeakValueDictionary[str, type] = WeakValueDictionary()
_declarations = 0
_ATTRIBUTE = "__busway_event__"


def event(
    topic: str,
    *,
    key: Field | None = None,
    idempotency_key: Field | None = None,
    correlation_id: Field | None = None,
    aggregate: Field | tuple[str, Field] | None = None,
    resource: Field | tuple[str, Field] | None = None,
    tenant: Field | None = None,
    version: int = 1,
    channel: str | None = None,
    retry: Retry | None = None,
) -> Callable[[C], C]:
    """Declare a class as the event of a topic.

    It works on ``msgspec.Struct``, dataclasses, attrs classes, TypedDicts and models of pydantic 2,
    and returns the class unchanged. ``key``, ``idempotency_key``, ``correlation_id`` and ``tenant``
    name a field, or are a function of the event; what is found there and is no text is made one by
    ``str``. None says nothing, but for ``tenant``, where it says "no tenant". ``aggregate`` and
    ``resource`` are a pair of a type and the field of the id, ``("order", "order_id")``, or a
    function that returns a pair of a type and an id. ``version`` is the schema's; ``channel``
    overrides where events of this topic are kept; ``retry`` is how handlers of it are retried
    unless their subscription says otherwise.

    Raises ``EventError`` when another class is declared for the topic, when a named field does not
    exist, when the class can hold no event, or when an option is out of range; ``TopicError`` for a
    malformed topic.
    """
    place = _caller()
    _check_options(topic, version, channel, retry, place)

    def declare(cls: C) -> C:
        _check_class(cls, topic, place)
        declaration = Declaration(
            topic=topic,
            place=place,
            version=version,
            channel=channel,
            retry=retry,
            key=getter(cls, "key", key, place),
            idempotency_key=getter(cls, "idempotency_key", idempotency_key, place),
            correlation_id=getter(cls, "correlation_id", correlation_id, place),
            aggregate=pair(cls, "aggregate", aggregate, place),
            resource=pair(cls, "resource", resource, place),
            tenant=getter(cls, "tenant", tenant, place),
        )
        _register(cls, declaration)
        return cls

    return declare


def declaration_of(cls: type) -> Declaration | None:
    """What was said of exactly this class; a subclass is another event, but ``Page[Order]`` of
    pydantic is an event of ``Page``."""
    found = cls.__dict__.get(_ATTRIBUTE)
    if isinstance(found, Declaration):
        return found
    generic = generic_of(cls)
    return None if generic is None else declaration_of(generic)


def declared_for(topic: str) -> type | None:
    """The class declared for a topic, if one is."""
    return _classes.get(topic)


def declared_topics() -> list[str]:
    """Every topic that a class is declared for in this process, sorted."""
    return sorted(_classes)


def changes() -> int:
    """Grows with each declaration: what was found out for a topic before it may be wrong."""
    return _declarations


def _check_options(topic: str, version: object, channel: object, retry: object, place: str) -> None:
    try:
        check_topic(topic)
    except TopicError as error:
        raise TopicError(f"{place}: {error}") from error
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise EventError(f"{place}: version={version!r}: it takes a whole number of 1 or more")
    if retry is not None and not isinstance(retry, Retry):
        raise EventError(f"{place}: retry={retry!r}: it takes a Retry(...)")
    if channel is not None:
        try:
            check_topic(channel)
        except TopicError as error:
            raise EventError(
                f"{place}: channel={channel!r}: its name follows a topic's rules; {error}"
            ) from error


def _check_class(cls: Any, topic: str, place: str) -> None:
    if not isinstance(cls, type):
        raise EventError(f"{place}: @event({topic!r}) stands at a class, and {cls!r} is none")
    # Whatever makes a class hold something gives it one of these.
    made_by: tuple[Any, Any] = (cls.__init__, cls.__new__)  # type: ignore[misc]
    plain = made_by == (object.__init__, object.__new__)
    if plain and not issubclass(cls, msgspec.Struct) and not is_typeddict(cls):
        raise EventError(
            f"{place}: {cls.__qualname__} is a plain class, which holds nothing that can be sent: "
            "make it a msgspec.Struct, a dataclass, an attrs class, a TypedDict or a model of "
            "pydantic, and put @event above the decorator that makes it one"
        )
    if is_of_version_1(cls):
        raise EventError(
            f"{place}: {cls.__qualname__} is a model of pydantic 1, and events are models of "
            "pydantic 2: pip install 'busway[pydantic]', and take BaseModel from pydantic, not "
            "from pydantic.v1"
        )


def _register(cls: type, declaration: Declaration) -> None:
    other = declared_for(declaration.topic)
    if other is not None and not _same(cls, other):
        other = None  # or this very name would keep it
        gc.collect()  # a class is always in a cycle: the other may be dead already
        other = declared_for(declaration.topic)
    if other is not None and not _same(cls, other):
        first = declaration_of(other)
        where = "" if first is None else f" at {first.place}"
        raise EventError(
            f"{declaration.topic!r} is declared twice: by {other.__qualname__}{where} and by "
            f"{cls.__qualname__} at {declaration.place}. One topic has one class: rename one "
            "topic, or put both shapes into one class"
        )
    try:
        setattr(cls, _ATTRIBUTE, declaration)
    except (AttributeError, TypeError) as error:
        raise EventError(f"{declaration.place}: {cls!r} cannot be declared: {error}") from error
    _classes[declaration.topic] = cls
    global _declarations
    _declarations += 1


def _same(cls: type, other: type) -> bool:
    """Whether this is the same class, or the same line of code run again by a reload."""
    return cls is other or (cls.__module__, cls.__qualname__) == (
        other.__module__,
        other.__qualname__,
    )


def _caller() -> str:
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
