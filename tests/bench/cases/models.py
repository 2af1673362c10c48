"""An event to bytes and back into a handler's parameter, by the kind of its class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import msgspec
import pydantic

from busway._convert import converter
from busway.codec import Codec, codec, decode
from busway.message import Envelope
from tests.bench.cases.codec import Ordered, an_event
from tests.bench.figures import Section
from tests.bench.measure import Settings, Spread, per_call

__all__ = ["measure"]

NOTE = (
    "256 bytes of data, encoded from an object of the class and decoded to one, as a broker's "
    "transport and a handler do. A model is written and read by pydantic, and in MessagePack by "
    "way of the same value in JSON."
)


@dataclasses.dataclass(frozen=True)
class OrderedData:
    order_id: str
    lines: list[str]
    total: float
    note: str = ""


@attrs.frozen
class OrderedAttrs:
    order_id: str
    lines: list[str]
    total: float
    note: str = ""


class OrderedModel(pydantic.BaseModel):
    order_id: str
    lines: list[str]
    total: float
    note: str = ""


KINDS: dict[str, Any] = {
    "msgspec.Struct": Ordered,
    "dataclass": OrderedData,
    "attrs": OrderedAttrs,
    "pydantic.BaseModel": OrderedModel,
}


def there_and_back(writer: Codec, cls: Any) -> Callable[[], object]:
    event = cls(**msgspec.structs.asdict(an_event()))
    envelope = Envelope("order.placed", event, "shop", 1.0, "o-000000000001", "id")
    encode, content_type, convert = writer.encode, writer.content_type, converter(cls)
    assert convert(decode(encode(envelope), content_type=content_type)) == event
    return lambda: convert(decode(encode(envelope), content_type=content_type))


def measure(settings: Settings) -> Iterable[Section]:
    rows = {
        (name, form): there_and_back(codec(form), cls)
        for name, cls in KINDS.items()
        for form in ("json", "msgpack")
    }
    calls = 2_000 if settings.short else 20_000
    taken: dict[tuple[str, str], list[float]] = {row: [] for row in rows}
    for _ in range(settings.repeats):
        for row, function in rows.items():
            taken[row].append(per_call(function, [()] * calls))
    section = Section("Kinds of classes", ("class", "codec"), "there and back", "us", note=NOTE)
    for row, values in taken.items():
        section.add(row, Spread(tuple(values)))
    yield section
