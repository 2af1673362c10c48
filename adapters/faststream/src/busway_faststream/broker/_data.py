"""Events as a handler's parameter asks for them, and what handlers return as the bus takes it.

The rule is the bus's: data that does not fit is ``Undecodable``, which no retry can mend. What is
made of classes that the bus reads (Structs, classes of attrs, models) is read by the bus, as for a
handler of its own; everything else is given to FastStream as builtins, which validates it as it
always does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from busway import Envelope, Undecodable, middleware

from ._kinds import is_read_by_the_bus

__all__ = ["Reader", "bytes_of", "plain", "reader_of", "sendable"]

Reader = Callable[[Envelope], Any]

_MSGPACK = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


def reader_of(wanted: Any) -> Reader:
    """What makes a handler's argument of an envelope. It raises ``Undecodable``.

    Raises HandlerError when nothing can be made into it.
    """
    if is_read_by_the_bus(wanted):
        return _read_by_the_bus(wanted)
    read = bytes_of if wanted is bytes else plain

    def checked(envelope: Envelope) -> Any:
        try:
            return read(envelope)
        except Exception as error:
            name = getattr(wanted, "__qualname__", None) or str(wanted)
            reason = str(error).partition("\n")[0]
            raise Undecodable(f"{envelope.type}: data does not fit {name}: {reason}") from error

    return checked


def _read_by_the_bus(wanted: Any) -> Reader:
    read = middleware.reader_of(wanted)

    def unlabelled(envelope: Envelope) -> Any:
        kind = envelope.content_type
        if kind is not None and "json" not in kind and "msgpack" not in kind:
            # Who publishes bytes, by a codec of theirs or none, means JSON more often than not.
            envelope = msgspec.structs.replace(envelope, content_type=None)
        return read(envelope)

    return unlabelled


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
    if hasattr(body.__class__, "__pydantic_serializer__"):
        return _of_model(body)
    if isinstance(body, list | tuple):
        return [sendable(each) for each in body]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(body, dict):
        return {key: sendable(value) for key, value in body.items()}  # pyright: ignore[reportUnknownVariableType]
    return body


def _of_model(value: Any) -> Any:
    """As the bus writes a model: what pydantic reads, by its aliases."""
    cls = value.__class__
    serializer = getattr(cls, "__pydantic_serializer__", None)
    if serializer is None:
        raise TypeError(f"an object of {cls.__qualname__} is no data")
    return msgspec.json.decode(serializer.to_json(value, by_alias=True))


def _is_msgpack(envelope: Envelope) -> bool:
    return envelope.content_type in _MSGPACK
