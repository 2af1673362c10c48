"""From what an envelope carries to what a handler's first parameter asks for.

A converter is made once per handler. Off a wire it decodes with a typed decoder made beforehand; in
the process that published, an event of the wanted class is handed over as it is, and anything else
is brought to builtins first, spelt as JSON spells them, so that a handler sees the same values on
every transport. What is a model of pydantic, or made of models, is read by pydantic.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Raw

from ._media import JSON_DATA, data_format
from ._pydantic import (
    as_builtins,
    cause_of,
    from_builtins,
    holds_models,
    is_of_model,
    is_open,
    reader,
    reason_of,
    to_json,
)
from ._typeddict import is_typeddict
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
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    members = get_args(bare) if get_origin(bare) in _UNIONS else ()
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
        raise InvalidEvent(f"data does not fit {_name(cls)}: {_reason(error)}") from cause_of(error)
    return made


def cached_converter(annotation: Any) -> Converter:
    """The same for what is asked for again and again. Also raises TypeError: it has no hash."""
    return _as_spelt(_spelling(annotation), annotation)


@lru_cache(maxsize=1024)
def _as_spelt(_: Hashable, annotation: Any) -> Converter:
    return converter(annotation)


def _spelling(annotation: Any) -> Hashable:
    """Tells ``A | B`` from ``B | A``, which are equal: pydantic may take the first that fits."""
    parts = get_args(annotation)
    return (annotation, *map(_spelling, parts)) if parts else annotation


def _envelope(envelope: Envelope) -> Envelope:
    return envelope


def _to(wanted: Any) -> Converter:
    """To one type, always the same."""
    if holds_models(wanted):
        return _to_model(wanted)
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
            raise _unfit(envelope, wanted, error) from cause_of(error)

    return convert


def _to_model(wanted: Any) -> Converter:
    """To a model of pydantic, or to what is made of models."""
    read = _reader(wanted)
    closed = not is_open(wanted)
    exact = wanted if isinstance(wanted, type) and closed else None

    def convert(envelope: Envelope) -> Any:
        data = envelope.data
        if type(data) is exact:
            return data
        try:
            if type(data) is Raw:
                return read(_json_of(data, envelope.content_type))
            return data if closed and _is_one(data, wanted) else read(to_json(data))
        except Exception as error:
            raise _unfit(envelope, wanted, error) from cause_of(error)

    return convert


def _reader(wanted: Any) -> Callable[[bytes], Any]:
    try:
        return reader(wanted)
    except TypeError as error:
        raise HandlerError(
            f"nothing can be converted to {_name(wanted)}: {_reason(error)}"
        ) from error


def _json_of(data: Raw, content_type: str | None) -> bytes:
    kind = content_type or JSON_DATA
    form = data_format(kind)
    if form is None:
        raise Undecodable(f"data of type {kind} can only be taken as bytes")
    return bytes(data) if form == "json" else to_json(msgspec.msgpack.decode(data))


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
    exact = frozenset(each for each in members if isinstance(each, type) and not is_open(each))
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
            "json": msgspec.json.Decoder(wanted, dec_hook=from_builtins).decode,
            "msgpack": msgspec.msgpack.Decoder(wanted, dec_hook=from_builtins).decode,
        }
    except (TypeError, NameError, AttributeError, msgspec.MsgspecError) as error:
        # Of the middle two is an annotation of a field that names nothing.
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
    if holds_models(wanted):
        return reader(wanted)(to_json(data))
    if _is_one(data, dict):
        try:
            return msgspec.convert(data, wanted, dec_hook=from_builtins)
        except msgspec.ValidationError:
            pass  # it may hold objects that only look right once they are builtins
    if is_of_model(data):
        data = as_builtins(data)
    plain = msgspec.to_builtins(data, enc_hook=as_builtins)
    return msgspec.convert(plain, wanted, dec_hook=from_builtins)


def _is_one(data: object, wanted: Any) -> bool:
    return isinstance(wanted, type) and not is_typeddict(wanted) and isinstance(data, wanted)


def _unfit(envelope: Envelope, wanted: Any, error: Exception) -> Undecodable:
    return Undecodable(f"{envelope.type}: data does not fit {_name(wanted)}: {_reason(error)}")


def _name(wanted: Any) -> str:
    return getattr(wanted, "__qualname__", None) or str(wanted)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = reason_of(error) or str(error) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"
