"""The codecs: one class per wire form, chosen by name."""

from __future__ import annotations

from typing import ClassVar, Protocol

from ..errors import OptionError
from ..message import Envelope
from ._wire import JSON, MSGPACK, UNWRITABLE, Form
from ._write import refused, too_large, written

__all__ = [
    "Codec",
    "JsonCodec",
    "MsgpackCodec",
    "codec",
]

_MEBIBYTE = 1_048_576


class Codec(Protocol):
    """How a bus writes its envelopes. Any object of this shape can be given as ``Bus(codec=…)``."""

    name: str
    """As in ``Bus(codec="json")``."""
    content_type: str
    """Says to a reader how the bytes are to be read."""

    def encode(self, envelope: Envelope, /) -> bytes:
        """Raises ``EncodeError`` or ``TooLarge``; then nothing was made."""
        ...


class _Writer:
    name: str
    content_type: str
    _form: ClassVar[Form]

    def __init__(self, max_size: int | None = _MEBIBYTE) -> None:
        if max_size is not None and max_size <= 0:
            raise OptionError(f"max_size={max_size}: the limit must be 1 byte or more, or None")
        self.max_size = max_size

    def encode(self, envelope: Envelope, /) -> bytes:
        """Raises ``EncodeError`` or ``TooLarge``; then nothing was made."""
        form = self._form
        encode = form.encode  # a name, not a method call: see docs/adr/0006
        try:
            encoded = encode(written(envelope, form))
        except UNWRITABLE as error:
            raise refused(envelope, form, error) from error
        limit = self.max_size
        if limit is not None and len(encoded) > limit:
            raise too_large(envelope, len(encoded), limit)
        return encoded

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_size={self.max_size})"


class JsonCodec(_Writer):
    """One CloudEvents 1.0 structured JSON document: any CloudEvents library reads it.

    ``max_size`` is of the whole document, in bytes; None for no limit.
    """

    name = "json"
    content_type = "application/cloudevents+json; charset=utf-8"
    _form = JSON


class MsgpackCodec(_Writer):
    """The same attributes as one MessagePack map: smaller, and quicker to write and read.

    ``max_size`` is of the whole map, in bytes; None for no limit.
    """

    name = "msgpack"
    content_type = "application/cloudevents+msgpack"
    _form = MSGPACK


_codecs: dict[str, type[JsonCodec] | type[MsgpackCodec]] = {
    "json": JsonCodec,
    "msgpack": MsgpackCodec,
}


def codec(name: str, *, max_size: int | None = _MEBIBYTE) -> Codec:
    """The codec called ``name``, with a limit in bytes.

    Raises:
        OptionError: there is none of that name, or the limit is no positive number.
    """
    if name not in _codecs:
        raise OptionError(f"codec {name!r} is unknown; known are {', '.join(sorted(_codecs))}")
    return _codecs[name](max_size)
