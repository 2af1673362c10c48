"""``@event``: which class stands for which topic, and where in it the envelope's fields are."""

from __future__ import annotations

import gc
import operator
import sys
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import ref

import msgspec

from ._topics import check_topic
from ._verdict import Retry
from .errors import EventError, TopicError
from .message import Ref

__all__ = ["Declaration", "Field", "declaration_of", "declared_for", "event"]

C = TypeVar("C", bound=type)

Field = str | Callable[[Any], Any]
"""Where a value is found in an event: the name of a field, or a function of the event."""


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


# The one registry of the process, by topic. Weak: a class that nobody uses any more declares nothing.
_classes: dict[str, ref[type]] = {}
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

    It works on ``msgspec.Struct``, dataclasses, attrs classes and TypedDicts, and returns the class
    unchanged. ``key``, ``idempotency_key``, ``correlation_id`` and ``tenant`` name a field, or are a
    function of the event. ``aggregate`` and ``resource`` are a pair of a type and the field of the
    id, ``("order", "order_id")``, or a function that returns such a pair of texts. ``version`` is
    the schema's; ``channel`` overrides where events of this topic are kept; ``retry`` is how
    handlers of it are retried unless their subscription says otherwise.

    Raises ``EventError`` when another class is declared for the topic, when a named field does not
    exist, or when ``version`` is no positive number; ``TopicError`` for a malformed topic.
    """
    place = _caller()
    try:
        check_topic(topic)
    except TopicError as error:
        raise TopicError(f"{place}: {error}") from error
    if version < 1:
        raise EventError(f"{place}: version={version!r}: it takes a whole number of 1 or more")

    def declare(cls: C) -> C:
        declaration = Declaration(
            topic=topic,
            place=place,
            version=version,
            channel=channel,
            retry=retry,
            key=_getter(cls, "key", key, place),
            idempotency_key=_getter(cls, "idempotency_key", idempotency_key, place),
            correlation_id=_getter(cls, "correlation_id", correlation_id, place),
            aggregate=_pair(cls, "aggregate", aggregate, place),
            resource=_pair(cls, "resource", resource, place),
            tenant=_getter(cls, "tenant", tenant, place),
        )
        _register(cls, declaration)
        return cls

    return declare


def declaration_of(cls: type) -> Declaration | None:
    """What was said of exactly this class; a subclass is another event."""
    found = cls.__dict__.get(_ATTRIBUTE)
    return found if isinstance(found, Declaration) else None


def declared_for(topic: str) -> type | None:
    """The class declared for a topic, if one is."""
    found = _classes.get(topic)
    return None if found is None else found()


def _register(cls: type, declaration: Declaration) -> None:
    other = declared_for(declaration.topic)
    if other is not None and not _same(cls, other):
        gc.collect()  # a class is always in a cycle: the other may be dead already
        other = declared_for(declaration.topic)
    if other is not None and not _same(cls, other):
        first = declaration_of(other)
        where = "" if first is None else f" at {first.place}"
        raise EventError(
            f"{declaration.topic!r} is declared twice: by {other.__qualname__}{where} and by "
            f"{cls.__qualname__} at {declaration.place}. One topic has one class: rename one topic, "
            "or put both shapes into one class"
        )
    try:
        setattr(cls, _ATTRIBUTE, declaration)
    except (AttributeError, TypeError) as error:
        raise EventError(f"{declaration.place}: {cls!r} cannot be declared: {error}") from error
    _classes[declaration.topic] = ref(cls)


def _same(cls: type, other: type) -> bool:
    """Whether this is the same class, or the same line of code run again by a reload."""
    return cls is other or (cls.__module__, cls.__qualname__) == (
        other.__module__,
        other.__qualname__,
    )


def _getter(
    cls: type, what: str, field: Field | None, place: str
) -> Callable[[Any], Any] | None:
    if field is None or callable(field):
        return field
    if field not in _fields(cls):
        known = ", ".join(sorted(_fields(cls))) or "none"
        raise EventError(
            f"{place}: {cls.__qualname__} has no field {field!r} for {what}=; its fields: {known}"
        )
    return operator.itemgetter(field) if _is_mapping(cls) else operator.attrgetter(field)


def _pair(
    cls: type, what: str, given: Field | tuple[str, Field] | None, place: str
) -> Callable[[Any], Ref | None] | None:
    if given is None or callable(given):
        return given
    if not (isinstance(given, tuple) and len(given) == 2):
        raise EventError(
            f'{place}: {what}={given!r}: it takes a pair such as ("order", "order_id"), or a '
            "function that returns one"
        )
    kind, field = given
    get = _getter(cls, what, field, place)
    assert get is not None
    return lambda event: (kind, str(get(event)))


def _fields(cls: type) -> set[str]:
    names: set[str] = set()
    for base in cls.__mro__:
        names.update(getattr(base, "__annotations__", {}))
    names.update(name for name in dir(cls) if isinstance(getattr(cls, name, None), property))
    return names


def _is_mapping(cls: type) -> bool:
    return issubclass(cls, dict)


def _caller() -> str:
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
