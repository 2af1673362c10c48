"""What a handler's first parameter is given, in the process that published and off a wire."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict

import attrs
import msgspec
import pytest
import typing_extensions
from msgspec import Raw

from busway._convert import converter, validate
from busway.codec import JsonCodec, MsgpackCodec, decode
from busway.errors import HandlerError, InvalidEvent, Undecodable
from busway.message import Envelope

__all__: list[str] = []


class Colour(Enum):
    RED = "red"


class Placed(msgspec.Struct, frozen=True):
    order_id: str
    total: Decimal
    at: datetime
    seal: bytes = b"\x00\xff"
    colour: Colour = Colour.RED
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PlacedData:
    order_id: str
    total: Decimal
    at: datetime


@attrs.frozen
class PlacedAttrs:
    order_id: str
    total: Decimal
    at: datetime


class PlacedDict(TypedDict):
    order_id: str
    total: Decimal
    at: datetime


class PlacedOlderDict(typing_extensions.TypedDict):
    """The one that pydantic takes before Python 3.12."""

    order_id: str
    total: Decimal
    at: datetime


class Paid(msgspec.Struct, frozen=True):
    order_id: str
    receipt: uuid.UUID


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


class Tree(msgspec.Struct):
    below: Tree | None = None


AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PLACED = Placed("o-1", Decimal("9.90"), AT, tags=frozenset({"new"}))
PAID = Paid("o-1", uuid.UUID(int=7))

Path = Callable[[Envelope], Envelope]


def in_process(envelope: Envelope) -> Envelope:
    return envelope


def over_json(envelope: Envelope) -> Envelope:
    return decode(JsonCodec().encode(envelope))


def over_msgpack(envelope: Envelope) -> Envelope:
    return decode(MsgpackCodec().encode(envelope))


def msgpack_inside_json(envelope: Envelope) -> Envelope:
    return over_json(over_msgpack(envelope))


def json_inside_msgpack(envelope: Envelope) -> Envelope:
    return over_msgpack(over_json(envelope))


PATHS: list[Path] = [in_process, over_json, over_msgpack, msgpack_inside_json, json_inside_msgpack]
every_path = pytest.mark.parametrize("path", PATHS)


def about(data: Any, topic: str = "order.placed") -> Envelope:
    return Envelope(topic, data, "shop", 1.0)


@every_path
@pytest.mark.parametrize("cls", [Placed, PlacedData, PlacedAttrs])
def test_an_event_of_the_wanted_class_arrives_equal(path: Path, cls: Any) -> None:
    event = cls("o-1", Decimal("9.90"), AT)
    got = converter(cls)(path(about(event)))
    assert got == event
    assert type(got) is cls


@every_path
@pytest.mark.parametrize("cls", [PlacedDict, PlacedOlderDict])
def test_a_typed_dict_arrives_with_its_types(path: Path, cls: Any) -> None:
    event = cls(order_id="o-1", total=Decimal("9.90"), at=AT)
    assert converter(cls)(path(about(event))) == event
    assert validate(event, cls) == event


@every_path
def test_every_supported_type_arrives_equal(path: Path) -> None:
    assert converter(Placed)(path(about(PLACED))) == PLACED


def test_in_process_the_object_is_handed_over_uncopied() -> None:
    assert converter(Placed)(about(PLACED)) is PLACED
    assert converter(Placed | Paid)(about(PLACED)) is PLACED
    assert converter(Any)(about(PLACED)) is PLACED


def test_an_instance_of_a_subclass_is_handed_over_uncopied() -> None:
    @dataclass(frozen=True)
    class More(PlacedData):
        more: int = 1

    event = More("o-1", Decimal(1), AT)
    assert converter(PlacedData)(about(event)) is event


@every_path
@pytest.mark.parametrize("cls", [PlacedData, PlacedAttrs])
def test_an_event_of_another_class_is_converted(path: Path, cls: Any) -> None:
    assert converter(cls)(path(about(PLACED))) == cls("o-1", Decimal("9.90"), AT)


@every_path
def test_a_dict_becomes_the_wanted_class(path: Path) -> None:
    data = {"order_id": "o-1", "total": "9.90", "at": "2026-01-02T03:04:05.678901Z"}
    got = converter(PlacedData)(path(about(data)))
    assert got == PlacedData("o-1", Decimal("9.90"), AT)


@every_path
def test_a_dict_of_objects_becomes_the_wanted_class(path: Path) -> None:
    data = {"order_id": "o-1", "total": Decimal("9.90"), "at": AT, "colour": Colour.RED}
    assert converter(Placed)(path(about(data))) == Placed("o-1", Decimal("9.90"), AT)


@pytest.mark.parametrize("path", [in_process, over_json])
@pytest.mark.parametrize("wanted", [dict, Mapping, dict[str, Any]])
def test_a_dict_is_wanted_and_an_event_is_spelt_as_json_spells_it(path: Path, wanted: Any) -> None:
    assert converter(wanted)(path(about(PAID))) == {
        "order_id": "o-1",
        "receipt": "00000000-0000-0000-0000-000000000007",
    }


@every_path
@pytest.mark.parametrize("value", ["text", 7, 1.5, True, None, ["a", 1]])
def test_a_primitive_arrives_as_itself(path: Path, value: Any) -> None:
    assert converter(type(value))(path(about(value))) == value
    assert converter(Any)(path(about(value))) == value


@every_path
@pytest.mark.parametrize("annotation", [Any, object, inspect.Parameter.empty])
def test_without_an_annotation_the_class_declared_for_the_topic_is_made(
    path: Path, annotation: Any
) -> None:
    convert = converter(annotation, {"order.paid": Paid}.get)
    data = {"order_id": "o-1", "receipt": str(PAID.receipt)}
    assert convert(path(about(data, "order.paid"))) == PAID
    assert convert(path(about(data, "order.odd"))) == data


def test_envelope_is_wanted_and_comes_as_it_is() -> None:
    envelope = about(PAID)
    assert converter(Envelope)(envelope) is envelope


@every_path
def test_a_union_takes_the_class_declared_for_the_topic(path: Path) -> None:
    """Although the first one would fit too."""

    class Loose(msgspec.Struct):
        order_id: str

    convert = converter(Loose | Paid, {"order.paid": Paid}.get)
    data = {"order_id": "o-1", "receipt": str(PAID.receipt)}
    assert convert(path(about(data, "order.paid"))) == PAID


@every_path
def test_a_union_without_a_declaration_takes_the_first_that_fits(path: Path) -> None:
    convert = converter(Placed | Paid)
    assert convert(path(about(PAID))) == PAID
    assert convert(path(about(PLACED))) == PLACED


@every_path
def test_a_tagged_union_is_told_apart_by_its_tag(path: Path) -> None:
    convert = converter(Cat | Dog)
    assert convert(path(about(Dog("Rex")))) == Dog("Rex")


@every_path
def test_a_union_that_nothing_fits_says_why_for_each(path: Path) -> None:
    with pytest.raises(Undecodable, match=r"Placed.*Paid"):
        converter(Placed | Paid)(path(about({"order_id": 1})))


@every_path
def test_data_that_does_not_fit_names_topic_class_and_path(path: Path) -> None:
    bad = {"order_id": "o-1", "total": [], "at": "2026-01-02T03:04:05Z"}
    with pytest.raises(Undecodable, match=r"^order\.placed: .* PlacedData: .*\$\.total"):
        converter(PlacedData)(path(about(bad)))


@every_path
def test_a_class_that_refuses_a_value_makes_it_undecodable(path: Path) -> None:
    class Positive(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            {1: "one"}[self.n]

    with pytest.raises(Undecodable, match="Positive"):
        converter(Positive)(path(about({"n": 2})))


def deep(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = {"below": value}
    return value


@pytest.mark.parametrize("wanted", [Tree, Tree | int, dict[str, Any] | None])
def test_deep_nesting_in_process_is_undecodable_where_it_must_be_walked(wanted: Any) -> None:
    envelope = about([deep(100_000)])
    with pytest.raises(Undecodable):
        converter(wanted)(envelope)


@pytest.mark.parametrize("wanted", [Tree, Any, dict])
@pytest.mark.parametrize("kind", ["application/json", "application/msgpack"])
def test_deep_nesting_off_a_wire_is_undecodable(wanted: Any, kind: str) -> None:
    json = b'{"below":' * 100_000 + b"null" + b"}" * 100_000
    msgpack = b"\x81\xa5below" * 100_000 + b"\xc0"
    raw = Raw(json if kind == "application/json" else msgpack)
    envelope = Envelope("a", raw, "s", content_type=kind)
    with pytest.raises(Undecodable, match="nested too deeply"):
        converter(wanted)(envelope)


@pytest.mark.parametrize("bad", [b"", b"{", b"\xff", b'{"a":1e999}', b"[" * 9])
def test_data_that_is_not_what_it_says_is_undecodable(bad: bytes) -> None:
    for kind in ("application/json", "application/msgpack"):
        with pytest.raises(Undecodable):
            converter(dict)(Envelope("a", Raw(bad), "s", content_type=kind))


def test_data_of_another_type_is_taken_as_bytes() -> None:
    picture = Envelope("a", Raw(b"\x89PNG"), "s", content_type="image/png")
    assert converter(bytes)(picture) == b"\x89PNG"
    assert converter(Any)(picture) == b"\x89PNG"
    with pytest.raises(Undecodable, match="image/png"):
        converter(Placed)(picture)


def test_text_is_taken_as_str() -> None:
    note = Envelope("a", Raw("für".encode()), "s", content_type="text/plain; charset=utf-8")
    assert converter(str)(note) == "für"


def test_an_annotation_nothing_converts_to_is_an_error_at_once() -> None:
    with pytest.raises(HandlerError, match="Cat"):
        converter(list[Cat | Placed])


def test_validate_makes_the_declared_class() -> None:
    data = {"order_id": "o-1", "receipt": str(PAID.receipt)}
    assert validate(data, Paid) == PAID
    assert validate(PAID, Paid) is PAID


def test_validate_says_what_does_not_fit() -> None:
    with pytest.raises(InvalidEvent, match=r"Paid: .*\$\.receipt"):
        validate({"order_id": "o-1", "receipt": "no"}, Paid)


def test_validate_refuses_what_contains_itself() -> None:
    tree: dict[str, Any] = {}
    tree["below"] = tree
    with pytest.raises(InvalidEvent):
        validate(tree, Tree)
