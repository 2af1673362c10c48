"""What pydantic's models can say beyond other classes, as events."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import traceback
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pydantic.v1
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypeAliasType

from busway import (
    Batch,
    Bus,
    EncodeError,
    EventError,
    HandlerError,
    InvalidEvent,
    RequestFailed,
    Undecodable,
    event,
    event_of,
)
from busway._convert import cached_converter, converter, validate
from busway._declared import declaration_of
from busway._pydantic import holds_models
from busway.codec import JsonCodec, MsgpackCodec, decode
from busway.message import Envelope
from tests.kinds_of_models import Colour

__all__: list[str] = []

T = TypeVar("T")

CODECS = [JsonCodec(), MsgpackCodec()]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
# As it is handed over, and as every broker would hand it over.
every_url = pytest.mark.parametrize(
    "url", ["memory://", "memory://?codec=json", "memory://?codec=msgpack"]
)


def wired(event: Any, codec: Any) -> Envelope:
    return decode(codec.encode(Envelope("order.placed", event, "shop", 1.0)))


class Line(BaseModel):
    sku: str = Field(alias="stockKeepingUnit")
    count: int = 1


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Pet
    lines: list[Line] = []


class Page(BaseModel, Generic[T]):
    number: int
    items: list[T]


class Numbers(RootModel[list[int]]):
    pass


class Tree(BaseModel):
    below: Tree | None = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    at: datetime
    id: UUID
    total: Decimal
    tags: frozenset[str]
    colour: Colour


@pydantic.dataclasses.dataclass
class Sent:
    day: date
    parcel_id: str = Field(alias="parcelId")


class Renamed(BaseModel):
    number: int = Field(validation_alias="in", serialization_alias="in")


class Totalled(BaseModel):
    price: int
    count: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return self.price * self.count


class Carrier(msgspec.Struct):
    """A struct with models in it."""

    line: Line
    lines: list[Line] = []
    maybe: Dog | None = None


@dataclasses.dataclass
class CarrierData:
    line: Line


@attrs.define
class CarrierAttrs:
    line: Line


class CarrierDict(TypedDict):
    line: Line


class Box(msgspec.Struct, Generic[T]):
    inside: T


Named = TypeAliasType("Named", list[Cat | Dog])

LINE = Line(stockKeepingUnit="s-1", count=2)
EVENTS: list[tuple[Any, Any]] = [
    (Line, LINE),
    (Owner, Owner(pet=Dog(name="rex"), lines=[LINE])),
    (Pet, Dog(name="rex")),
    (Page[int], Page[int](number=1, items=[1, 2])),
    (Page[Line], Page[Line](number=1, items=[LINE])),
    (Numbers, Numbers([1, 2])),
    (Tree, Tree(below=Tree())),
    (
        Strict,
        Strict(
            at=datetime(2026, 1, 1, tzinfo=UTC),
            id=UUID(int=1),
            total=Decimal("1.10"),
            tags=frozenset({"a"}),
            colour=Colour.RED,
        ),
    ),
    (Sent, Sent(parcelId="p-1", day=date(2026, 1, 1))),  # type: ignore[call-arg]
    (Renamed, Renamed(**{"in": 3})),
    (Totalled, Totalled(price=2, count=3)),
    (Line | Cat, Cat(name="tom")),
    (Line | None, LINE),
    (Line | Carrier, LINE),
    (list[Line], [LINE]),
    (Named, [Dog(name="rex")]),
    (Box[Line], Box(LINE)),
    (dict[str, Cat | Dog], {"a": Cat(name="tom")}),
    (Carrier, Carrier(LINE, [LINE], Dog(name="rex"))),
    (CarrierData, CarrierData(LINE)),
    (CarrierAttrs, CarrierAttrs(LINE)),
    (CarrierDict, CarrierDict(line=LINE)),
]


@every_codec
@pytest.mark.parametrize(("annotation", "event"), EVENTS, ids=lambda each: str(each)[:40])
def test_what_pydantic_can_say_arrives_as_it_was(annotation: Any, event: Any, codec: Any) -> None:
    got = converter(annotation)(wired(event, codec))
    assert got == event
    assert type(got) is type(event)


@pytest.mark.parametrize(("annotation", "event"), EVENTS, ids=lambda each: str(each)[:40])
def test_in_process_it_arrives_as_it_was(annotation: Any, event: Any) -> None:
    got = converter(annotation)(Envelope("order.placed", event, "shop", 1.0))
    assert got == event
    assert type(got) is type(event)


@pytest.mark.parametrize(
    ("annotation", "event"),
    [each for each in EVENTS if not isinstance(each[1], list | dict | Box)],
    ids=lambda each: str(each)[:40],
)
def test_in_process_it_is_the_same_object(annotation: Any, event: Any) -> None:
    assert converter(annotation)(Envelope("order.placed", event, "shop", 1.0)) is event


@pytest.mark.parametrize("path", ["process", *CODECS], ids=lambda path: getattr(path, "name", path))
@pytest.mark.parametrize(
    ("event", "plain"),
    [
        (LINE, {"stockKeepingUnit": "s-1", "count": 2}),
        (Sent(parcelId="p-1", day=date(2026, 1, 1)), {"parcelId": "p-1", "day": "2026-01-01"}),  # type: ignore[call-arg]
        (Totalled(price=2, count=3), {"price": 2, "count": 3, "total": 6}),
        (Numbers([1]), [1]),
        (
            Carrier(LINE),
            {"line": {"stockKeepingUnit": "s-1", "count": 2}, "lines": [], "maybe": None},
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_others_see_what_model_dump_json_writes(event: Any, plain: Any, path: Any) -> None:
    """A handler that asks for builtins sees the names of the wire, in process too."""
    envelope = Envelope("order.placed", event, "shop", 1.0)
    got = converter(type(plain))(envelope if path == "process" else wired(event, path))
    assert got == plain


@every_codec
@pytest.mark.parametrize(
    ("annotation", "data", "reason"),
    [
        (
            Line,
            {"count": "many"},
            "stockKeepingUnit: Field required; count: Input should be a valid",
        ),
        (
            Owner,
            {"pet": {"kind": "cow"}},
            r"pet: Input tag 'cow' found using 'kind' does not match",
        ),
        (Pet, {"kind": "cow"}, "Input tag 'cow'"),
        (Page[int], {"number": 1, "items": [1, "x"]}, r"items\.1: Input should be a valid integer"),
        (Numbers, ["x"], "0: Input should be a valid integer"),
        (Sent, {"parcelId": 1}, "day: Field required; parcelId: Input should be a valid string"),
        (list[Line], [{}], r"0\.stockKeepingUnit: Field required"),
        (Carrier, {"line": {}}, r"stockKeepingUnit: Field required - at `\$\.line`"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line_without_what_was_given(
    annotation: Any, data: Any, reason: str, codec: Any
) -> None:
    with pytest.raises(Exception, match=f"order.placed: data does not fit .*: {reason}") as caught:
        converter(annotation)(wired(data, codec))
    assert type(caught.value).__name__ == "Undecodable"
    assert "\n" not in str(caught.value)
    assert "many" not in str(caught.value)
    assert "errors.pydantic.dev" not in str(caught.value)


@every_codec
@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        (Line, {"stockKeepingUnit": ["hunter2"]}),
        (list[Line], [{"stockKeepingUnit": ["hunter2"]}]),
        (Line | Cat, {"stockKeepingUnit": ["hunter2"]}),
        (Carrier, {"line": {"stockKeepingUnit": ["hunter2"]}}),
    ],
)
def test_the_traceback_of_what_does_not_fit_does_not_show_what_was_given(
    annotation: Any, data: Any, codec: Any
) -> None:
    for envelope in (wired(data, codec), Envelope("order.placed", data, "shop", 1.0)):
        with pytest.raises(Undecodable) as caught:
            converter(annotation)(envelope)
        text = "".join(traceback.format_exception(caught.value))
        assert "Input should be a valid string" in text
        assert "hunter2" not in text


def test_the_traceback_of_a_refused_event_does_not_show_what_was_given() -> None:
    for cls, data in (
        (Line, {"stockKeepingUnit": ["hunter2"]}),
        (Carrier, {"line": {"stockKeepingUnit": ["hunter2"]}}),
    ):
        with pytest.raises(InvalidEvent) as caught:
            validate(data, cls)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_traceback_of_a_validator_that_fails_shows_where() -> None:
    class Picky(BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise RuntimeError("the database is away")

    with pytest.raises(Undecodable) as caught:
        converter(Picky)(wired({"n": 1}, JsonCodec()))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_thousand_mistakes_are_told_in_one_line() -> None:
    with pytest.raises(Exception, match=r"1000 mistakes, the first: 0: Input ") as caught:
        converter(Numbers)(wired(["x"] * 1000, JsonCodec()))
    assert len(str(caught.value)) < 500


def test_bytes_that_nobody_interprets_are_no_model() -> None:
    raw = Envelope("a.b", msgspec.Raw(b"{}"), "s", 1.0, content_type="application/octet-stream")
    with pytest.raises(Exception, match="octet-stream can only be taken as bytes"):
        converter(Line)(raw)


# --- on a bus -----------------------------------------------------------------------------------


@pytest.mark.anyio
@every_url
async def test_a_model_is_declared_published_and_handled_like_any_event(url: str) -> None:
    @event("model.placed", key="order_id", aggregate=("order", "order_id"), version=2)
    class OrderPlaced(BaseModel):
        order_id: str = Field(alias="orderId")
        total: Decimal
        at: datetime

    got: list[Any] = []
    bus = Bus(url, service="shop")

    @bus.subscribe("model.*", group="typed")
    async def typed(order: OrderPlaced) -> None:
        got.append(order)

    @bus.subscribe("model.*", group="untyped")
    async def untyped(order) -> None:  # type: ignore[no-untyped-def]
        got.append(order)

    @bus.subscribe(OrderPlaced, group="many", batch=Batch(1))
    async def many(orders: list[OrderPlaced]) -> None:
        got.extend(orders)

    order = OrderPlaced(orderId="o-1", total=Decimal("9.90"), at=datetime.now(UTC))
    async with bus:
        envelope = await bus.publish(order)
        await bus.publish("model.placed", {"orderId": "o-1", "total": "9.90", "at": order.at})
        await bus.drain()
    assert (envelope.key, envelope.aggregate, envelope.schema_version) == (
        "o-1",
        ("order", "o-1"),
        2,
    )
    assert got == [order] * 6
    assert event_of(envelope) == order


@pytest.mark.anyio
@every_url
async def test_what_does_not_fit_is_a_dead_letter_with_the_reason(url: str) -> None:
    bus = Bus(url, service="shop")

    @bus.subscribe("model.added", group="stock")
    async def stock(line: Line) -> None: ...

    async with bus:
        await bus.publish("model.added", {"stockKeepingUnit": 7_654_321})
        await bus.publish("model.added", {"stockKeepingUnit": "s-1"})
        await bus.drain()
        (letter,) = await bus.dead_letters("stock").list()
    assert letter.kind == "Undecodable"
    assert "stockKeepingUnit: Input should be a valid string" in letter.reason
    assert "Input should be a valid string" in letter.traceback
    assert "7654321" not in letter.traceback


@pytest.mark.anyio
@every_url
async def test_data_by_name_is_checked_against_the_model(url: str) -> None:
    @event("model.moved")
    class Moved(BaseModel):
        sku: str

    assert Moved
    async with Bus(url, service="shop") as bus:
        with pytest.raises(InvalidEvent, match=r"model\.moved: .*\.Moved: sku: Field required"):
            await bus.publish("model.moved", {"stock": 1})
        await bus.publish("model.moved", {"sku": "s-1"})


@pytest.mark.anyio
@every_url
async def test_data_by_name_is_checked_against_a_dataclass_of_pydantic(url: str) -> None:
    event("model.parcel.sent")(Sent)
    got: list[Any] = []
    bus = Bus(url, service="shop")

    @bus.subscribe("model.parcel.sent")
    async def take(sent: Sent) -> None:
        got.append(sent)

    async with bus:
        await bus.publish("model.parcel.sent", {"day": "2026-01-01", "parcelId": "p-1"})
        with pytest.raises(InvalidEvent, match="parcelId: Field required"):
            await bus.publish("model.parcel.sent", {"day": "2026-01-01", "parcel_id": "p-1"})
        await bus.drain()
    assert got == [Sent(day=date(2026, 1, 1), parcelId="p-1")]  # type: ignore[call-arg]


def test_in_process_an_event_of_a_subclass_is_handed_over_as_it_is() -> None:
    class Sold(Line):
        price: int

    sold = Sold(stockKeepingUnit="s", price=1)
    assert converter(Line)(Envelope("order.placed", sold, "shop", 1.0)) is sold


@pytest.mark.anyio
@every_url
async def test_requests_and_replies_are_models(url: str) -> None:
    @event("model.price.asked")
    class Asked(BaseModel):
        sku: str

    class Price(BaseModel):
        amount: Decimal

    bus = Bus(url, service="shop")

    @bus.subscribe(Asked)
    async def price(asked: Asked) -> Price:
        return Price(amount=Decimal("1.50"))

    async with bus:
        assert await bus.request(Asked(sku="s-1"), returns=Price) == Price(amount=Decimal("1.50"))
        with pytest.raises(RequestFailed, match="stockKeepingUnit: Field required"):
            await bus.request(Asked(sku="s-1"), returns=Line)


@pytest.mark.anyio
@every_url
async def test_a_discriminator_at_a_handler_tells_the_members_apart(url: str) -> None:
    """Both fit, and only the function says which is meant."""

    class Small(BaseModel):
        n: int

    class Large(BaseModel):
        n: int

    def size(data: Any) -> str:
        return "large" if (data["n"] if isinstance(data, dict) else data.n) > 9 else "small"

    Sized = Annotated[
        Annotated[Small, pydantic.Tag("small")] | Annotated[Large, pydantic.Tag("large")],
        pydantic.Discriminator(size),
    ]
    got: list[Any] = []

    async def take(sized: Any) -> None:
        got.append(sized)

    take.__annotations__["sized"] = Sized
    bus = Bus(url, service="shop")
    bus.add(take, "model.sized")
    async with bus:
        await bus.publish("model.sized", {"n": 1})
        await bus.publish("model.sized", {"n": 10})
        await bus.drain()
    assert got == [Small(n=1), Large(n=10)]


@pytest.mark.anyio
@every_url
async def test_a_parametrised_model_is_an_event_of_its_generic(url: str) -> None:
    @event("model.page.read", key="number")
    class Read(BaseModel, Generic[T]):
        number: int
        items: list[T]

    got: list[Any] = []
    bus = Bus(url, service="shop")

    @bus.subscribe("model.page.*")
    async def read(page: Read[int]) -> None:
        got.append(page)

    async with bus:
        envelope = await bus.publish(Read[int](number=3, items=[1]))
        await bus.drain()
    assert envelope.key == "3"
    assert got == [Read[int](number=3, items=[1])]
    assert type(got[0]) is Read[int]


@pytest.mark.anyio
@every_url
async def test_each_event_of_an_open_generic_is_read_as_the_first_was(url: str) -> None:
    @event("model.pages.read", key="number")
    class Pages(BaseModel, Generic[T]):
        number: int
        items: list[T]

    got: list[Any] = []
    bus = Bus(url, service="shop")

    @bus.subscribe("model.pages.*", group="readers")
    async def read(page: Pages) -> None:  # type: ignore[type-arg]
        got.append(page)

    async with bus:
        for number in range(3):
            await bus.publish(Pages(number=number, items=[Totalled(price=1, count=2)]))
            await bus.drain()
    assert [type(page.items[0]) for page in got] == [dict] * 3


# --- bad input ----------------------------------------------------------------------------------


def test_a_field_that_a_model_does_not_have_is_an_error_that_lists_its_own() -> None:
    with pytest.raises(
        EventError, match=r"no field 'id' for key=; its fields: count, price, total$"
    ):
        event("model.totalled", key="id")(Totalled)


def test_a_computed_field_may_be_the_key() -> None:
    @event("model.computed", key="total")
    class Computed(Totalled):
        pass

    assert Bus().envelope(Computed(price=2, count=3)).key == "6"


def test_a_computed_field_that_is_kept_may_be_the_key() -> None:
    @event("model.kept", key="twice")
    class Kept(BaseModel):
        n: int

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @cached_property
        def twice(self) -> int:
            return 2 * self.n

    assert Bus().envelope(Kept(n=2)).key == "4"


def test_a_secret_is_written_as_pydantic_writes_it() -> None:
    class Login(BaseModel):
        name: str
        password: pydantic.SecretStr

    got = converter(dict)(wired(Login(name="ada", password=pydantic.SecretStr("x")), JsonCodec()))
    assert got == {"name": "ada", "password": "**********"}


def test_a_plain_property_may_be_the_key() -> None:
    @event("model.property", key="twice")
    class Property(BaseModel):
        n: int

        @property
        def twice(self) -> int:
            return 2 * self.n

    assert Bus().envelope(Property(n=2)).key == "4"


def test_a_subclass_of_a_model_is_another_event() -> None:
    @event("model.base")
    class Base(BaseModel):
        pass

    class Derived(Base):
        pass

    assert declaration_of(Derived) is None


@pytest.mark.filterwarnings("ignore:Core Pydantic V1")
def test_a_model_of_pydantic_1_is_an_error_that_says_which_to_install() -> None:
    class Old(pydantic.v1.BaseModel):
        n: int

    with pytest.raises(
        EventError, match=r"Old is a model of pydantic 1.*install 'busway\[pydantic"
    ):
        event("model.old")(Old)


def test_a_handler_of_what_is_not_defined_yet_is_an_error_that_names_it() -> None:
    class Early(BaseModel):
        later: Later  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(HandlerError, match=r"Early: `.*Early` is not fully defined.*`Later`"):
        converter(Early)


def test_what_pydantic_does_not_know_is_an_error_at_the_handler() -> None:
    with pytest.raises(HandlerError, match=r"nothing can be converted to .*Carrier"):
        converter(list[Line | Carrier])


def test_a_serializer_that_fails_is_an_encode_error() -> None:
    class Broken(BaseModel):
        n: int

        @pydantic.field_serializer("n")
        def write(self, n: int) -> int:
            raise KeyError("nothing")

    with pytest.raises(EncodeError, match=r"Broken cannot be encoded as json.*KeyError"):
        wired(Broken(n=1), JsonCodec())


@every_codec
def test_a_model_that_contains_itself_is_not_sent(codec: Any) -> None:
    tree = Tree()
    tree.below = tree
    with pytest.raises(EncodeError, match=r"Tree cannot be encoded as .*Circular reference"):
        wired(tree, codec)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"below":' * 100_000 + b"null" + b"}" * 100_000, "application/json"),
        (b"\x81\xa5below" * 100_000 + b"\xc0", "application/msgpack"),
    ],
    ids=["json", "msgpack"],
)
def test_what_is_nested_too_deeply_is_undecodable(data: bytes, kind: str) -> None:
    raw = Envelope("a.b", msgspec.Raw(data), "shop", 1.0, content_type=kind)
    with pytest.raises(Exception, match=r"recursion limit exceeded|nested too deeply") as caught:
        converter(Tree)(raw)
    assert type(caught.value).__name__ == "Undecodable"


@pytest.mark.parametrize(
    ("wrap", "data"), [(lambda each: each, {}), (lambda each: list[each], [{}])]
)
def test_unions_that_differ_only_in_their_order_are_told_apart(wrap: Any, data: Any) -> None:
    class First(BaseModel):
        n: int = 1

    class Second(BaseModel):
        n: int = 1

    envelope = Envelope("a.b", data, "shop", 1.0)
    for order in (First | Second, Second | First):
        made = cached_converter(wrap(order))(envelope)
        assert made == converter(wrap(order))(envelope)


class Alias:
    """As ``type Nested = list[Nested] | <more>`` is: it knows its value when it is asked."""

    def __init__(self, more: Any) -> None:
        self.more = more

    @property
    def __value__(self) -> Any:
        return list[self] | self.more


@pytest.mark.parametrize(("more", "holds"), [(int, False), (Line, True)])
def test_an_alias_that_is_made_of_itself_is_looked_into_once(more: Any, holds: bool) -> None:
    assert holds_models(Alias(more)) is holds
    assert holds_models(dict[str, Alias(more)]) is holds


def test_what_a_generic_alias_is_given_counts() -> None:
    many = TypeAliasType("many", list[T], type_params=(T,))
    assert holds_models(many[Line])
    assert not holds_models(many[int])


@pytest.mark.parametrize("wanted", [Page, Page[Line], Page | None, Any])
def test_a_generic_model_is_the_same_in_process_and_off_a_wire(wanted: Any) -> None:
    lines = [Line(stockKeepingUnit="s-1")]
    read = converter(wanted, lambda _: Page)
    for page in (Page(number=1, items=lines), Page[Line](number=1, items=lines)):
        here, there = read(Envelope("a.b", page, "shop", 1.0)), read(wired(page, JsonCodec()))
        assert type(here) is type(there)
        assert here == there
        assert type(here.items[0]) is type(there.items[0])


@every_codec
def test_a_root_model_of_dataclasses_with_aliases_reads_what_it_writes(codec: Any) -> None:
    parcels = RootModel[list[Sent]]([Sent(parcelId="p", day=date(2026, 1, 1))])  # type: ignore[call-arg]
    read = converter(list[Sent])(wired(parcels, codec))
    assert read == parcels.root


def test_a_validator_that_fails_makes_data_undecodable() -> None:
    class Picky(BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise RuntimeError("the database is away")

    with pytest.raises(Exception, match=r"does not fit .*Picky: the database is away") as caught:
        converter(Picky)(wired({"n": 1}, JsonCodec()))
    assert type(caught.value).__name__ == "Undecodable"


def test_pydantic_is_not_imported_by_who_has_no_models() -> None:
    program = (
        "import sys, anyio, msgspec\n"
        "from busway import Bus, event\n"
        "@event('a.b')\n"
        "class A(msgspec.Struct): n: int\n"
        "bus = Bus('memory://?codec=json')\n"
        "@bus.subscribe('a.*')\n"
        "async def handle(a: A): ...\n"
        "async def main():\n"
        "    async with bus:\n"
        "        await bus.publish(A(1))\n"
        "        await bus.drain()\n"
        "anyio.run(main)\n"
        "bus.schemas(), bus.asyncapi()\n"
        "assert not [name for name in sys.modules if name.startswith('pydantic')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


@every_codec
def test_a_model_that_writes_no_json_is_refused_and_not_sent(codec: Any) -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="constants")
        x: float

    with pytest.raises(EncodeError):
        codec.encode(Envelope("order.placed", Odd(x=float("inf")), "shop", 1.0))


@every_codec
def test_a_number_that_json_has_not_is_the_same_by_every_codec(codec: Any) -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="strings")
        x: float | None

    assert converter(Odd)(wired(Odd(x=float("inf")), codec)) == Odd(x=float("inf"))


@every_codec
def test_what_has_a_getattr_of_its_own_is_an_event_as_ever(codec: Any) -> None:
    class Loose(dict[str, int]):
        __getattr__ = dict.__getitem__

    assert converter(Any)(wired(Loose(a=1), codec)) == {"a": 1}
