"""The JSON Schema of each event."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar

import jsonschema
import msgspec
import pydantic
import pytest
from msgspec import Raw
from pydantic import BaseModel, Field, RootModel

from busway import Actor, Bus, Envelope, EventError, Message, OptionError, PatternError, event, on
from busway._schemas import schema_of_topic
from busway.codec import JsonCodec, decode
from tests.kinds_of_models import KINDS, VALUES

__all__: list[str] = []

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Line(BaseModel):
    sku: str = Field(alias="stockKeepingUnit")
    count: int = 1


class Bought(Line):
    """The same, declared."""


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Tree(BaseModel):
    below: Tree | None = None


class Card(BaseModel):
    face: str


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]


class Plain(msgspec.Struct, frozen=True):
    n: int
    pair: tuple[int, str] = (1, "one")
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Mixed(msgspec.Struct):
    line: Line
    tree: Tree
    below: Mixed | None = None


@pydantic.dataclasses.dataclass
class Sent:
    parcel_id: str = Field(alias="parcelId")


class Numbers(RootModel[list[int]]):
    pass


def validator(schema: dict[str, Any]) -> Any:
    """Of a schema that is one, and stands alone."""
    assert schema["$schema"] == DIALECT
    assert json.loads(json.dumps(schema)) == schema
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def written(event: Any) -> Any:
    """As it stands on the wire."""
    envelope = decode(JsonCodec().encode(Envelope("a.b", event, "shop", 1.0)))
    return json.loads(bytes(envelope.data))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_written_of_any_kind_of_class_fits_its_schema(kind: Any) -> None:
    event(f"kind.{kind.__name__}")(kind)
    check = validator(schema_of_topic(f"kind.{kind.__name__}"))
    check.validate(written(kind(**VALUES)))
    assert not check.is_valid({**written(kind(**VALUES)), "size": "huge"})
    assert not check.is_valid({})


@pytest.mark.parametrize(
    ("event_", "wrong"),
    [
        (Bought(stockKeepingUnit="s-1"), {"sku": "s-1"}),
        (Tree(below=Tree()), {"below": 1}),
        (Plain(1), {"n": 1, "pair": [1, "one", 2]}),
        (
            Mixed(Line(stockKeepingUnit="s-1"), Tree(), Mixed(Line(stockKeepingUnit="s"), Tree())),
            {"line": {"stockKeepingUnit": "s"}, "tree": {"below": 1}},
        ),
        (Sent(parcelId="p"), {"parcel_id": "p"}),  # type: ignore[call-arg]
        (Numbers([1]), ["x"]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_written_fits_its_schema_and_what_is_wrong_does_not(
    event_: Any, wrong: Any
) -> None:
    topic = f"schema.{type(event_).__name__}"
    event(topic)(type(event_))
    check = validator(Bus().schemas(topic)[topic])
    check.validate(written(event_))
    assert not check.is_valid(wrong)


def test_a_computed_field_is_described_because_it_is_written() -> None:
    @event("schema.totalled")
    class Totalled(BaseModel):
        n: int

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def twice(self) -> int:
            return 2 * self.n

    schema = Bus().schemas("schema.totalled")["schema.totalled"]
    assert schema["required"] == ["n", "twice"]
    validator(schema).validate(written(Totalled(n=1)))


def test_the_version_of_an_event_stands_in_its_schema() -> None:
    @event("schema.versioned", version=3)
    class Versioned(msgspec.Struct):
        pass

    assert Bus().schemas(Versioned)["schema.versioned"]["x-schemaversion"] == 3


def test_a_bus_knows_what_is_declared_and_what_its_handlers_name() -> None:
    @event("known.declared")
    class Declared(msgspec.Struct):
        pass

    assert Declared
    bus = Bus()
    bus.add(takes(Line), "known.handled", "known.{a,b}", "wild.*")
    assert list(bus.schemas("known.*", "wild.**")) == [
        "known.a",
        "known.b",
        "known.declared",
        "known.handled",
    ]


def test_a_topic_without_a_class_is_described_by_its_handler() -> None:
    bus = Bus()
    bus.add(takes(Line), "handled.here")
    check = validator(bus.schemas("handled.here")["handled.here"])
    assert check.is_valid({"stockKeepingUnit": "s"})
    assert not check.is_valid({"sku": "s"})


def test_a_topic_that_only_a_pattern_reaches_can_be_asked_for() -> None:
    bus = Bus()
    bus.add(takes(Line), "wild.*")
    assert bus.schemas("wild.*") == {}
    assert bus.schemas("wild.card")["wild.card"]["title"] == "Line"


@pytest.mark.parametrize("annotation", [Any, object, Envelope, Raw])
def test_a_topic_of_which_nobody_says_anything_allows_everything(annotation: Any) -> None:
    bus = Bus()
    bus.add(takes(annotation), "un.annotated")
    assert bus.schemas("un.annotated")["un.annotated"] == {"$schema": DIALECT}


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (dict, {"type": "object"}),
        (int, {"type": "integer"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ],
)
def test_builtins_are_described_too(annotation: Any, schema: dict[str, Any]) -> None:
    bus = Bus()
    bus.add(takes(annotation), "built.in")
    assert bus.schemas("built.in")["built.in"] == {"$schema": DIALECT, **schema}


def test_an_event_has_to_fit_every_handler_of_its_topic() -> None:
    """Two of one name, of which one is pydantic's; each refers to definitions of its own."""

    class Other(msgspec.Struct):
        stockKeepingUnit: str
        n: int
        mixed: Mixed | None = None

    other = msgspec.defstruct("Line", [("n", int), ("tree", Tree | None, None)])
    bus = Bus()
    for number, annotation in enumerate([Line, other, Other, Any, Line]):
        bus.add(takes(annotation), "two.events", group=f"group-{number}")
    check = validator(bus.schemas("two.events")["two.events"])
    assert check.is_valid({"n": 1, "stockKeepingUnit": "s"})
    assert not check.is_valid({"stockKeepingUnit": "s"})
    assert not check.is_valid({"n": 1})
    assert not check.is_valid({"n": 1, "stockKeepingUnit": "s", "tree": {"below": 1}})


def test_classes_of_one_name_that_two_handlers_take_stay_apart() -> None:
    text, number = (msgspec.defstruct("Item", [("n", kind)]) for kind in (str, int))
    bus = Bus()
    bus.add(takes(dict[str, text]), "same.name", group="text")
    bus.add(takes(dict[str, number]), "same.name", group="number")
    check = validator(bus.schemas("same.name")["same.name"])
    assert check.is_valid({})
    assert not check.is_valid({"a": {"n": 1}})
    assert not check.is_valid({"a": {"n": "one"}})


def test_a_struct_stays_apart_from_a_model_of_its_name_inside_of_it() -> None:
    outer = msgspec.defstruct("Tree", [("n", int), ("tree", Tree)])
    bus = Bus()
    bus.add(takes(outer), "tree.in.tree")
    check = validator(bus.schemas("tree.in.tree")["tree.in.tree"])
    assert check.is_valid({"n": 1, "tree": {"below": {"below": None}}})
    assert not check.is_valid({"n": 1, "tree": {"below": {"below": 1}}})
    assert not check.is_valid({"tree": {}})


def test_models_of_one_name_inside_of_one_struct_stay_apart() -> None:
    first, second = (
        pydantic.create_model("Item", inner=pydantic.create_model("Inner", n=kind))
        for kind in (str, int)
    )
    both = msgspec.defstruct("Both", [("a", first), ("b", second), ("again", list[first])])
    bus = Bus()
    bus.add(takes(both), "models.of.one.name")
    schema = bus.schemas("models.of.one.name")["models.of.one.name"]
    check = validator(schema)
    assert check.is_valid({"a": {"inner": {"n": "x"}}, "b": {"inner": {"n": 1}}, "again": []})
    assert not check.is_valid({"a": {"inner": {"n": 1}}, "b": {"inner": {"n": 1}}, "again": []})
    assert not check.is_valid({"a": {"inner": {"n": "x"}}, "b": {"inner": {"n": "x"}}, "again": []})


def test_a_struct_stays_apart_from_what_is_inside_of_a_model_named_as_its_module() -> None:
    """Of two Structs of one name msgspec names each by its module, too."""
    cards = [
        msgspec.defstruct("Card", [("n", kind)], module=where)
        for where, kind in (("one", str), ("two", bool))
    ]
    model = pydantic.create_model("one", card=pydantic.create_model("Card", n=(int, ...)))
    fields = [("first", cards[0]), ("second", cards[1]), ("model", model)]
    bus = Bus()
    bus.add(takes(msgspec.defstruct("All", fields)), "cards.of.one.name")
    check = validator(bus.schemas("cards.of.one.name")["cards.of.one.name"])
    good = {"first": {"n": "x"}, "second": {"n": True}, "model": {"card": {"n": 1}}}
    assert check.is_valid(good)
    assert not check.is_valid({**good, "model": {"card": {"n": "x"}}})
    assert not check.is_valid({**good, "first": {"n": 1}})


def test_a_generic_model_has_a_name_that_a_reference_may_hold() -> None:
    cards = msgspec.defstruct("Cards", [("page", Page[Card]), ("pages", dict[str, Page[Tree]])])
    bus = Bus()
    bus.add(takes(cards), "generic.name")
    schema = bus.schemas("generic.name")["generic.name"]
    assert all(re.fullmatch(r"[a-zA-Z0-9.\-_]+", name) for name in schema["$defs"])
    check = validator(schema)
    assert check.is_valid({"page": {"items": [{"face": "ace"}]}, "pages": {}})
    assert not check.is_valid({"page": {"items": [{"face": 1}]}, "pages": {}})
    assert not check.is_valid(
        {"page": {"items": []}, "pages": {"a": {"items": [{"below": {"below": 1}}]}}}
    )


def test_a_handler_does_not_ask_for_what_it_would_only_write() -> None:
    class Totalled(BaseModel):
        n: int

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def twice(self) -> int:
            return 2 * self.n

    bus = Bus()
    bus.add(takes(Totalled), "only.read")
    assert bus.schemas("only.read")["only.read"]["required"] == ["n"]


def test_of_one_group_only_the_handler_that_gets_the_event_says_what_it_is() -> None:
    bus = Bus()
    bus.add(takes(Line), "one.group", group="one")
    bus.add(takes(int), "one.*", group="one")
    assert bus.schemas("one.group")["one.group"]["title"] == "Line"


def test_a_union_is_described_by_its_members() -> None:
    bus = Bus()

    async def handle(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    handle.__annotations__["pet"] = Annotated[Cat | Dog, Field(discriminator="kind")]
    bus.add(handle, "pet.seen")
    check = validator(bus.schemas("pet.seen")["pet.seen"])
    assert check.is_valid({"kind": "cat"})
    assert not check.is_valid({"kind": "cow"})


def test_an_actors_methods_count_as_handlers_do() -> None:
    class Keeper(Actor):
        @on("actor.told")
        async def told(self, line: Line, message: Message[Line]) -> None: ...

    bus = Bus()
    bus.add(Keeper())
    assert bus.schemas("actor.*")["actor.told"]["title"] == "Line"


@pytest.mark.anyio
async def test_a_handler_that_was_taken_back_says_nothing_any_more() -> None:
    bus = Bus()
    subscription = bus.add(takes(Line), "taken.back")
    assert list(bus.schemas("taken.*")) == ["taken.back"]
    await subscription.stop()
    assert list(bus.schemas("taken.*")) == []


# --- bad input ----------------------------------------------------------------------------------


class Opaque:
    pass


class WithCode(BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    code: Opaque


class WithObject(msgspec.Struct):
    code: Opaque


@dataclasses.dataclass
class Within:
    model: WithCode


class Failing(BaseModel):
    n: int

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> Any:
        raise KeyError("nothing")


class WithDefault(msgspec.Struct):
    card: Card = Card(face="ace")


class One(msgspec.Struct):
    n: int


class Two(msgspec.Struct):
    text: str


class EitherOfTwo(msgspec.Struct):
    of: One | Two


@pytest.mark.parametrize("cls", [WithObject, WithCode, Within, Failing, WithDefault, EitherOfTwo])
def test_what_cannot_be_described_is_any_value_and_the_others_are_told(cls: Any) -> None:
    event(f"no.words.{cls.__name__}", version=2)(cls)
    bus = Bus()
    bus.add(takes(Line), "some.words")
    found = bus.schemas(cls, "some.words")
    assert found["some.words"]["title"] == "Line"
    schema = found[f"no.words.{cls.__name__}"]
    assert schema.pop("description").startswith(
        f"Any value: {cls.__name__} cannot be described as JSON Schema: "
    )
    assert schema == {"$schema": DIALECT, "x-schemaversion": 2}


@pytest.mark.parametrize("annotation", [dict[str, Opaque], One | Two])
def test_what_a_handler_takes_and_cannot_be_described_is_any_value(annotation: Any) -> None:
    bus = Bus()
    bus.add(takes(annotation), "no.words", group="one")
    schema = bus.schemas("no.words")["no.words"]
    assert set(schema) == {"$schema", "description"}
    bus.add(takes(Line), "no.words", group="two")
    check = validator(bus.schemas("no.words")["no.words"])
    assert check.is_valid({"stockKeepingUnit": "s"})
    assert not check.is_valid({"sku": "s"})


def test_a_topic_that_is_nobodys_is_an_error() -> None:
    with pytest.raises(OptionError, match=r"'order\.palced' is nobody's"):
        Bus().schemas("order.palced")
    assert Bus().schemas("order.palced.*") == {}


def test_what_is_no_pattern_and_no_event_is_an_error() -> None:
    with pytest.raises(EventError, match="neither a pattern nor a declared event class"):
        Bus().schemas(Line)
    with pytest.raises(PatternError):
        Bus().schemas("a..b")


def test_two_classes_of_one_topic_are_an_error_before_there_is_a_schema() -> None:
    @event("twice.declared")
    class First(BaseModel):
        pass

    assert First
    with pytest.raises(EventError, match=r"declared twice: by .*First at .* and by .*Second at"):

        @event("twice.declared")
        class Second(TypedDict):
            n: int


def takes(annotation: Any) -> Any:
    async def handle(data: Any) -> None: ...

    handle.__annotations__["data"] = annotation
    return handle
