"""One event in every kind of class that an event may be of, with a field of every type."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, TypedDict, get_type_hints
from uuid import UUID

import attrs
import msgspec
import pydantic.dataclasses
from pydantic import BaseModel, ConfigDict

__all__ = [
    "FIELDS",
    "KINDS",
    "PORTABLE",
    "VALUES",
    "AsBase64",
    "AsModel",
    "Colour",
    "Size",
    "kinds_of",
]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


# As text that each kind reads in its own way: what differs between the classes is their kind alone.
class _Fields:
    at: datetime
    local: datetime
    day: date
    hour: time
    took: timedelta
    total: Decimal
    id: UUID
    colour: Colour
    size: Size
    seal: bytes
    tags: set[str]
    lines: frozenset[int]
    pair: tuple[int, str]
    by_name: dict[str, Decimal]
    maybe: date | None


FIELDS: dict[str, Any] = get_type_hints(_Fields)


def kinds_of(fields: dict[str, Any]) -> list[Any]:
    """A class of each kind, with these fields."""

    def space(**more: Any) -> dict[str, Any]:
        return {"__annotations__": dict(fields), "__module__": __name__, **more}

    model = type(BaseModel)
    base64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    return [
        msgspec.defstruct("AsStruct", list(fields.items()), module=__name__),
        dataclasses.dataclass(type("AsDataclass", (), space())),
        attrs.define(type("AsAttrs", (), space())),
        TypedDict("AsTypedDict", fields),  # type: ignore[operator]
        model("AsModel", (BaseModel,), space()),
        pydantic.dataclasses.dataclass(type("AsModelDataclass", (), space())),
        model("AsBase64", (BaseModel,), space(model_config=base64)),
    ]


KINDS = kinds_of(FIELDS)
AsModel, AsBase64 = KINDS[4], KINDS[6]
PORTABLE = kinds_of({name: each for name, each in FIELDS.items() if each is not bytes})
"""Without bytes, which each kind writes in its own way."""

VALUES: dict[str, Any] = {
    "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "local": datetime(2026, 1, 2, 3, 4, 5),
    "day": date(2026, 2, 28),
    "hour": time(23, 59, 59, 999999),
    "took": timedelta(days=1, seconds=2, microseconds=3),
    "total": Decimal("9.900"),
    "id": UUID(int=7),
    "colour": Colour.BLUE,
    "size": Size.LARGE,
    "seal": b"wax",
    "tags": {"new", "gift"},
    "lines": frozenset({1, 2}),
    "pair": (1, "one"),
    "by_name": {"shipping": Decimal("1E+2")},
    "maybe": None,
}
