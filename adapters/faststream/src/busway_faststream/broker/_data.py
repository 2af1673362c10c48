"""Events as a handler's parameter asks for them, and what handlers return as the bus takes it.

The rule is the bus's: data that does not fit is ``Undecodable``, which no retry can mend. Where
the annotation is a class that msgspec knows and pydantic does not, or a model of pydantic's, the
bytes are decoded straight into it; everything else is given to FastStream as builtins, which
validates it as it always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
from msgspec import Raw

from busway import Envelope, Undecodable

__all__ = ["Reader", "bytes_of", "is_model", "is_typed", "plain", "reader_of", "sendable"]

Reader = Callable[[Envelope], Any]

_MSGPACK = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


def reader_of(wanted: Any) -> Reader:
    """What makes a handler's argument of an envelope. It raises ``Undecodable``."""
    if is_model(wanted):
        read = _model_reader(wanted)
    elif is_typed(wanted):
        read = _typed_reader(wanted)
    elif wanted is bytes:
        read = bytes_of
    else:
        read = plain

    def checked(envelope: Envelope) -> Any:
        try:
            return read(envelope)
        except Undecodable:
            raise
        except Exception as error:
            name = getattr(wanted, "__qualname__", None) or str(wanted)
            raise Undecodable(f"{envelope.type}: data does not fit {name}: {error}") from error

    return checked


def is_typed(wanted: Any) -> bool:
    """Whether msgspec has to make it: pydantic has no idea of a Struct, or of a class of attrs."""
    return any(_is_msgspecs(each) for each in _parts(wanted))


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in get_args(annotation):
        yield from _parts(each)


def is_model(cls: Any) -> bool:
    return isinstance(cls, type) and hasattr(cls, "model_validate_json")


def _is_msgspecs(cls: Any) -> bool:
    is_attrs = hasattr(cls, "__attrs_attrs__")
    return isinstance(cls, type) and (is_attrs or issubclass(cls, msgspec.Struct))


def _model_reader(model: Any) -> Reader:
    def read(envelope: Envelope) -> Any:
        data = envelope.data
        if type(data) is model:
            return data
        if type(data) is Raw and not _is_msgpack(envelope):
            return model.model_validate_json(bytes(data))
        return model.model_validate(plain(envelope))

    return read


def _typed_reader(wanted: Any) -> Reader:
    from_json = msgspec.json.Decoder(wanted).decode
    from_msgpack = msgspec.msgpack.Decoder(wanted).decode

    def read(envelope: Envelope) -> Any:
        data = envelope.data
        if data.__class__ is wanted:
            return data
        if type(data) is Raw:
            return from_msgpack(data) if _is_msgpack(envelope) else from_json(data)
        return msgspec.convert(plain(envelope), wanted)

    return read


def plain(envelope: Envelope) -> Any:
    """The data as builtins, whatever it was published as. Raises what msgspec raises."""
    data = envelope.data
    if type(data) is not Raw:
        return _builtins(sendable(data))
    kind = envelope.content_type
    if _is_msgpack(envelope):
        return msgspec.msgpack.decode(data)
    if kind is None or "json" in kind:
        return msgspec.json.decode(data)
    return bytes(data).decode() if kind.startswith("text/") else bytes(data)


_BUILTINS = (bool, int, float, str, bytes, dict, list)


def _builtins(data: Any) -> Any:
    # What these hold stays as it is: FastStream's own validation knows more types than JSON does.
    kept: Any = data
    if data is None or isinstance(data, _BUILTINS):
        return kept
    return msgspec.to_builtins(data, enc_hook=_of_model)


def bytes_of(envelope: Envelope) -> bytes:
    """The data as it travels, or would."""
    data = envelope.data
    if isinstance(data, Raw | bytes | bytearray):
        return bytes(data)
    if data is None:
        return b""
    return data.encode() if isinstance(data, str) else msgspec.json.encode(data, enc_hook=_of_model)


def sendable(body: Any) -> Any:
    """A model of pydantic's as the builtins that it is written as, also inside of a list or a dict;
    all else as it is."""
    if hasattr(type(body), "__pydantic_serializer__"):
        return _of_model(body)
    if isinstance(body, list | tuple):
        return [sendable(each) for each in body]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(body, dict):
        return {key: sendable(value) for key, value in body.items()}  # pyright: ignore[reportUnknownVariableType]
    return body


def _of_model(value: Any) -> Any:
    """As the bus writes a model: what pydantic reads, by its aliases."""
    serializer: Any = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is None:
        raise TypeError(f"an object of {type(value).__qualname__} is no data")
    return msgspec.json.decode(serializer.to_json(value, by_alias=True))


def _is_msgpack(envelope: Envelope) -> bool:
    return envelope.content_type in _MSGPACK
