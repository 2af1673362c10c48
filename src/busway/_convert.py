"""From what an envelope carries to what a handler's first parameter asks for.

A converter is made once per handler. Off a wire it decodes with a typed decoder made beforehand; in
the process that published, an event of the wanted class is handed over as it is, and anything else
is brought to builtins first, spelt as JSON spells them, so that a handler sees the same values on
every transport.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, is_typeddict

import msgspec
from msgspec import Raw

from ._media import JSON_DATA, data_format
from .errors import HandlerError, InvalidEvent, Undecodable
from .message import Envelope

__all__ = ["Converter", "Declared", "cached_converter", "converter", "validate"]

T = TypeVar("T")

Converter = Callable[[Envelope], Any]
Declared = Callable[[str], "type | None"]
"""The event class declared for a topic, if there is one."""

_ANYTHING = (Any, object, inspect.Parameter.empty, None)
_MAPPINGS = (dict, Mapping, MutableMapping)
_UNIONS = (Union, types.UnionType)


def converter(annotation: Any, declared: Declared | None = None) -> Converter:
    """What makes the first argument of a handler whose first parameter is annotated so.

    - an event class: the event, converted where it is not one already;
    - a union: the member declared for the topic, else the first one that fits;
    - ``dict`` or ``Mapping``: builtins; ``Any``, ``object`` or nothing: the class declared for the
      topic where there is one, else the object itself, or builtins off a wire;
    - ``Envelope``: the envelope itself.

    The converter raises ``Undecodable`` when the data does not fit, whatever the cause.

    Raises:
        HandlerError: no data can be converted to this annotation.
    """
    if annotation is Envelope:
        return _envelope
    if annotation in _ANYTHING:
        return _by_topic(declared)
    if annotation in _MAPPINGS:
        return _to(dict)
    members = tuple(m for m in get_args(annotation)) if get_origin(annotation) in _UNIONS else ()
    if members:
        return _one_of(annotation, members, declared)
    return _to(annotation)


def validate(data: Any, cls: type[T]) -> T:
    """``data`` as an event of ``cls``; itself when it is one. Fields ``cls`` does not have are
    left out of the result.

    Raises:
        InvalidEvent: it does not fit.
    """
    if type(data) is cls:
        return data
    try:
        made: T = _object_to(data, cls)
    except Exception as error:
        raise InvalidEvent(f"data does not fit {_name(cls)}: {_reason(error)}") from error
    return made


@lru_cache(maxsize=1024)
def cached_converter(annotation: Any) -> Converter:
    """The same for what is asked for again and again."""
    return converter(annotation)


def _envelope(envelope: Envelope) -> Envelope:
    return envelope


def _to(wanted: Any) -> Converter:
    """To one type, always the same."""
    by_form = _decoders(wanted)
    from_json = by_form["json"]
    exact = wanted if isinstance(wanted, type) else None

    def convert(envelope: Envelope) -> Any:
        data = envelope.data
        if type(data) is exact:
            return data
        try:
            if type(data) is Raw:
                if envelope.content_type == JSON_DATA:  # what the bus itself writes
                    return from_json(data)
                return _decode(data, envelope.content_type, by_form, wanted)
            return _object_to(data, wanted)
        except Exception as error:
            raise _unfit(envelope, wanted, error) from error

    return convert


def _by_topic(declared: Declared | None) -> Converter:
    plain = _decoders(Any)

    def convert(envelope: Envelope) -> Any:
        cls = declared(envelope.type) if declared is not None else None
        if cls is not None:
            return _cached(cls)(envelope)
        data = envelope.data
        if type(data) is not Raw:
            return data
        try:
            return _decode(data, envelope.content_type, plain, Any)
        except Exception as error:
            raise _unfit(envelope, Any, error) from error

    return convert


def _one_of(annotation: Any, members: tuple[Any, ...], declared: Declared | None) -> Converter:
    exact = frozenset(member for member in members if isinstance(member, type))
    try:
        whole: Converter | None = _to(annotation)  # a tagged union, or one of builtins
    except HandlerError:
        whole = None  # its members cannot be told apart by what they look like
    each = {member: _to(member) for member in members}

    def convert(envelope: Envelope) -> Any:
        if type(envelope.data) in exact:
            return envelope.data
        cls = declared(envelope.type) if declared is not None else None
        if cls in each:
            return each[cls](envelope)
        if whole is not None:
            return whole(envelope)
        errors: list[Undecodable] = []
        for make in each.values():
            try:
                return make(envelope)
            except Undecodable as error:
                errors.append(error)
        raise Undecodable("; ".join(map(str, errors)))

    return convert


@lru_cache(maxsize=1024)
def _cached(wanted: Any) -> Converter:
    return _to(wanted)


def _decoders(wanted: Any) -> dict[str, Callable[[Any], Any]]:
    try:
        return {
            "json": msgspec.json.Decoder(wanted).decode,
            "msgpack": msgspec.msgpack.Decoder(wanted).decode,
        }
    except (TypeError, msgspec.MsgspecError) as error:
        raise HandlerError(
            f"nothing can be converted to {_name(wanted)}: {_reason(error)}"
        ) from error


def _decode(
    data: Raw, content_type: str | None, by_form: dict[str, Callable[[Any], Any]], wanted: Any
) -> Any:
    kind = content_type or JSON_DATA
    form = data_format(kind)
    if form is not None:
        return by_form[form](data)
    if kind.startswith("text/") and wanted in (str, Any):
        return bytes(data).decode()
    if wanted in (bytes, Any):
        return bytes(data)
    raise Undecodable(f"data of type {kind} can only be taken as bytes")


def _object_to(data: Any, wanted: Any) -> Any:
    """From an object of this process. Raises what msgspec raises."""
    if _is_one(data, wanted):
        return data
    if _is_one(data, dict):
        try:
            return msgspec.convert(data, wanted)
        except msgspec.ValidationError:
            pass  # it may hold objects that only look right once they are builtins
    return msgspec.convert(msgspec.to_builtins(data), wanted)


def _is_one(data: object, wanted: Any) -> bool:
    return isinstance(wanted, type) and not is_typeddict(wanted) and isinstance(data, wanted)


def _unfit(envelope: Envelope, wanted: Any, error: Exception) -> Undecodable:
    return Undecodable(f"{envelope.type}: data does not fit {_name(wanted)}: {_reason(error)}")


def _name(wanted: Any) -> str:
    return getattr(wanted, "__qualname__", None) or str(wanted)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"
