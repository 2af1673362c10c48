"""What must hold for any bytes whatever: the one property that every fuzzer here checks."""

from __future__ import annotations

from typing import Any

import msgspec

from busway._convert import converter
from busway.codec import JsonCodec, MsgpackCodec, decode, decode_binary
from busway.errors import Undecodable
from busway.message import Envelope

__all__ = ["SEEDS", "check"]


class Placed(msgspec.Struct):
    order_id: str
    total: float
    lines: list[dict[str, Any]] = []
    below: Placed | None = None


CODECS = [JsonCodec(None), MsgpackCodec(None)]
CONVERTERS = [converter(Any), converter(dict), converter(Placed), converter(bytes)]

_WHOLE = Envelope(
    "order.placed",
    Placed("o-1", 1.5, [{"a": 1}], Placed("o-2", 0.0)),
    "shop",
    1.5,
    subject="o-1",
    given_id="1",
    schema_version=2,
    tenant="t",
    aggregate=("order", "o-1"),
    headers={"a": "b"},
)
SEEDS = [codec.encode(_WHOLE) for codec in CODECS]
SEEDS.append(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"e30=","x":1}')


def check(data: bytes) -> None:
    """Reading gives an envelope or ``Undecodable``; what was read can be written again by either
    codec and reads the same; its data converts or is ``Undecodable``."""
    for content_type in (None, *(codec.content_type for codec in CODECS)):
        try:
            envelope = decode(data, content_type=content_type)
        except Undecodable:
            continue
        _check_envelope(envelope)
    text = data[:64].decode(errors="replace")
    headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"s", "ce_type": data[:64]}
    for kind in (None, "application/json", "application/msgpack", text):
        more = {} if kind is None else {"content-type": kind}
        try:
            envelope = decode_binary({**headers, **more}, data[64:])
        except Undecodable:
            continue
        _check_envelope(envelope)


def _check_envelope(envelope: Envelope) -> None:
    for codec in CODECS:
        again = decode(codec.encode(envelope))
        for field in envelope.__struct_fields__:
            if field != "timestamp":
                assert _plain(getattr(again, field)) == _plain(getattr(envelope, field)), field
        assert again.time == envelope.time
    for convert in CONVERTERS:
        try:
            convert(envelope)
        except Undecodable:
            continue


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, msgspec.Raw) else value
