"""What a handler's one parameter is given is what a handler of the bus is given."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar

import msgspec
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType, TypedDict

from busway import HandlerError, event
from tests.facts import Seen, letters, quick

from .started import Cut, Struct, broker_on, started
from .test_bad_input import refused

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Inner(BaseModel):
    size: int = Field(alias="theSize")


@event("reading.holding", key="name")
class Holding(msgspec.Struct):
    """A Struct that holds a model."""

    name: str
    inner: Inner


@event("reading.ordered")
class Ordered(msgspec.Struct):
    name: str


@event("reading.billed")
class Billed(msgspec.Struct):
    name: str
    by: str = "ann"


@event("reading.opened")
class Opened(BaseModel):
    name: str


@event("reading.closed")
class Closed(BaseModel):
    name: str


@event("reading.lent")
@dataclasses.dataclass
class Lent:
    name: str


@event("reading.returned")
@dataclasses.dataclass
class Returned:
    name: str


Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item]):
    items: list[Item]


@dataclasses.dataclass
class Box:
    struct: Struct
    cut: Cut | None = None
    box: Box | None = None


class Crate(TypedDict):
    struct: Struct


Named = NewType("Named", Struct)
Alias = TypeAliasType("Alias", list[Struct])


class Pair(NamedTuple):
    struct: Struct
    other: Pair | None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def taking(kind: Any, seen: Seen) -> Any:
    async def handle(event: Any) -> None:
        seen.add(event)

    handle.__annotations__ = {"event": kind}
    return handle


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Holding, Holding("oak", Inner(theSize=1))),
        (Page[int], Page([1, 2])),
        (Page[Inner], Page([Inner(theSize=1)])),
        (Box, Box(Struct("oak"), Cut("elm"), Box(Struct("ash")))),
        (Crate, {"struct": Struct("oak")}),
        (Named, Struct("oak")),
        (Annotated[Struct, "marked"], Struct("oak")),
        (Pair, Pair(Struct("oak"), None)),
        (Alias, [Struct("oak")]),
        (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(kind="dog")),
        (dict[str, Struct] | None, {"a": Struct("oak")}),
    ],
    ids=str,
)
async def test_it_is_read_by_the_bus(url: str, kind: Any, sent: Any) -> None:
    seen, broker = Seen(), broker_on(url)
    broker.subscriber("reading.*", "thing.*")(taking(kind, seen))
    async with started(broker):
        await broker.publish(sent, "reading.holding" if kind is Holding else "thing.seen")
    assert seen.items == [sent]


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Ordered | Billed, [Billed("oak"), Ordered("oak")]),
        (Opened | Closed, [Closed(name="oak"), Opened(name="oak")]),
        (Lent | Returned, [Returned("oak"), Lent("oak")]),
        (Ordered | Closed, [Closed(name="oak"), Ordered("oak")]),
    ],
    ids=str,
)
async def test_of_declared_classes_the_topic_chooses(url: str, kind: Any, sent: list[Any]) -> None:
    seen, broker = Seen(), broker_on(url)
    broker.subscriber("reading.*", order="key", concurrency=1)(taking(kind, seen))
    async with started(broker):
        for each in sent:
            await broker.publish(each)
    assert seen.items == sent


@pytest.mark.parametrize("kind", [Annotated[int, Struct], Annotated[int, Named]])
async def test_what_stands_beside_a_type_says_nothing_of_who_reads_it(url: str, kind: Any) -> None:
    """FastStream does: it makes a number of a text."""
    seen, broker = Seen(), broker_on(url)
    broker.subscriber("thing.*")(taking(kind, seen))
    async with started(broker):
        await broker.publish("7", "thing.counted")
    assert seen.items == [7]


class Undefined(msgspec.Struct):
    field: Nothing  # type: ignore[name-defined]  # noqa: F821


class UndefinedModel(BaseModel):
    field: Nothing  # type: ignore[name-defined]  # noqa: F821


class Tagless(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Undefined, "to Undefined: .*'Nothing'"),
        (UndefinedModel, "to UndefinedModel: .*not fully defined"),
        (list[Tagless | Struct], "tag"),
    ],
    ids=str,
)
async def test_what_nothing_can_be_read_into_is_told_at_the_start(kind: Any, match: str) -> None:
    broker = broker_on()
    broker.subscriber("thing.*")(taking(kind, Seen()))
    await refused(broker, HandlerError, f"handle: nothing can be converted .*{match}")


async def test_what_does_not_fit_is_told_in_one_line_without_what_was_given(url: str) -> None:
    """It may be a secret."""
    broker = broker_on(url)
    for number, kind in enumerate((Struct, Opened, list[Opened], Box, Ordered | Billed)):
        broker.subscriber("thing.seen", group=f"g{number}", retry=quick())(taking(kind, Seen()))
    async with started(broker):
        await broker.publish({"name": {"s3cret": "s3cret"}}, "thing.seen")
        for number in range(5):
            (letter,) = await letters(broker.bus, f"g{number}", 1)
            assert letter.attempts == 1
            assert letter.kind == "Undecodable"
            assert "\n" not in letter.reason
            assert "s3cret" not in letter.reason


async def test_bytes_that_do_not_say_what_they_are_are_read_as_json(url: str) -> None:
    seen, broker = Seen(), broker_on(url)
    for kind in (Struct, Opened):
        broker.subscriber("thing.seen", group=kind.__name__)(taking(kind, seen))
    async with started(broker):
        await broker.publish(b'{"name":"oak"}', "thing.seen")
        await seen.count(2)
    assert Struct("oak") in seen.items
    assert Opened(name="oak") in seen.items
