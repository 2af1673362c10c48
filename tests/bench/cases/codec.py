"""An envelope to bytes and back, with 256 bytes of data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from busway.codec import Codec, codec, decode
from busway.message import Envelope
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, per_call

__all__ = ["measure"]

BYTES = 256
GOAL = Goal(3.0)
NO_SLOWER = Goal(1.0)
NOTE = (
    "Encoded from an object of the application and decoded to an envelope whose event is still "
    "encoded, as a transport does; the last rows also make the id and decode the event."
)


class Ordered(msgspec.Struct, frozen=True):
    order_id: str
    lines: list[str]
    total: float
    note: str = ""


def an_event() -> Ordered:
    """One that is 256 bytes of JSON."""
    event = Ordered("o-000000000001", [f"article-{number}" for number in range(8)], 1234.5)
    missing = BYTES - len(msgspec.json.encode(event))
    return msgspec.structs.replace(event, note="x" * missing)


def there_and_back(writer: Codec, envelope: Envelope) -> Callable[[], object]:
    encode, content_type = writer.encode, writer.content_type
    return lambda: decode(encode(envelope), content_type=content_type)


def with_id_and_event(writer: Codec, event: Ordered) -> Callable[[], object]:
    form = msgspec.json if writer.name == "json" else msgspec.msgpack
    read_event = form.Decoder(Ordered).decode

    def whole() -> object:
        envelope = Envelope("order.placed", event, "shop", time.time(), event.order_id)
        came = decode(writer.encode(envelope), content_type=writer.content_type)
        return read_event(came.data)

    return whole


def measure(settings: Settings) -> Iterable[Section]:
    event = an_event()
    envelope = Envelope("order.placed", event, "shop", time.time(), event.order_id)
    writers = [codec("json"), codec("msgpack")]
    functions = [there_and_back(writer, envelope) for writer in writers]
    functions += [with_id_and_event(writer, event) for writer in writers]
    calls = 5_000 if settings.short else 50_000
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(settings.repeats):
        for function, into in zip(functions, taken, strict=True):
            into.append(per_call(function, [()] * calls))
    json, msgpack, json_whole, msgpack_whole = (Spread(tuple(values)) for values in taken)
    section = Section("Codec, encode and decode", ("what",), "measured", "us", note=NOTE)
    section.add(("JSON",), json, GOAL)
    section.add(("MessagePack",), msgpack)
    section.add(("MessagePack over JSON",), msgpack.over(json), NO_SLOWER, unit="x")
    section.add(("JSON, with a new id and the event decoded",), json_whole)
    section.add(("MessagePack, with a new id and the event decoded",), msgpack_whole)
    yield section
