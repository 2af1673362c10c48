"""FastStream's AsyncAPI document of a BusBroker's app."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from faststream import FastStream
from faststream.specification import AsyncAPI
from pydantic import BaseModel, Field, computed_field

from busway import Bus, event
from busway_faststream import BusBroker, BusRouter
from busway_faststream.broker._urls import protocol_of, public_urls

from .started import Cut, Model, Placed, Struct, broker_on

__all__: list[str] = []


OFFICIAL = Path(__file__).resolve().parents[4] / "tests" / "asyncapi" / "asyncapi-3.0.0.json.gz"


def document(broker: BusBroker, version: str = "3.0.0") -> dict[str, Any]:
    app = FastStream(broker, specification=AsyncAPI(schema_version=version))
    found: dict[str, Any] = json.loads(app.schema.to_specification().to_json())
    return found


class Leaf(msgspec.Struct):
    """Is in nothing but a tree."""

    colour: str


class Tree(msgspec.Struct):
    """Holds others."""

    kind: Struct
    leaf: Leaf
    rings: list[int] = []


def app_broker(url: str = "redis://ann:s3cret@one:6379/0?client_name=s3cret") -> BusBroker:
    broker = broker_on(url)
    router = BusRouter(prefix="shop.")

    @router.subscriber("order.{kind}")
    @router.publisher("order.billed")
    async def bill(event: Tree) -> Struct:
        """Bills an order."""
        raise NotImplementedError

    @broker.subscriber("tree.model", "tree.other")
    async def model(event: Model) -> None: ...

    @broker.subscriber(Placed)
    async def placed(event: Placed) -> None: ...

    @broker.subscriber("tree.cut")
    async def cut(event: Cut) -> None: ...

    broker.publisher("tree.felled", schema=list[Struct], title="felled")
    broker.include_router(router)
    return broker


def test_channels_have_the_templates_as_addresses() -> None:
    found = document(app_broker())
    addresses = {each["address"] for each in found["channels"].values()}
    assert addresses == {
        "shop.order.{kind}", "shop.order.billed", "tree.model", "tree.other", "cart.placed",
        "tree.cut", "tree.felled",
    }  # fmt: skip
    assert found["channels"]["shop.order.{kind}:Bill"]["description"] == "Bills an order."
    actions = [each["action"] for each in found["operations"].values()]
    assert sorted(actions) == ["receive"] * 5 + ["send"] * 2


def test_nobody_reads_a_secret_in_it() -> None:
    found = document(app_broker())
    assert "s3cret" not in json.dumps(found)
    assert "ann" not in json.dumps(found["servers"])
    (server,) = found["servers"].values()
    assert (server["host"], server["pathname"], server["protocol"]) == ("one:6379", "/0", "redis")


@pytest.mark.parametrize(
    "url",
    [
        "redis://one:6379/0",
        "redis://ann:s3cret@one:6379/0",
        "redis://ann:s3/c?r#et@one:6379/0",
        "redis://one:6379/0?password=s3cret",
        "redis://one:6379/0#s3cret",
    ],
)
def test_nothing_but_the_place_is_left_of_a_url(url: str) -> None:
    assert public_urls(url) == ["redis://one:6379/0"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://bob:12?x=y@host",
        "redis://bob:12?x@host",
        "redis://bob:12#x@host",
        "redis://bob:s3?x=y@host",
        "redis://one:6379/0?password=s3c@ret",
        "redis://one:6379/0?client-name=s3c@ret",
        "redis://ann:s3cret@one:6379/0?password=s3c@ret",
        "redis://[::1]:6379/0?client-name@s3cret",
    ],
)
def test_where_a_password_may_be_on_either_side_neither_is_shown(url: str) -> None:
    assert public_urls(url) == ["redis://hidden"]


@pytest.mark.parametrize("url", ["ann:s3cret@one:9092", "ann:s3cret@one:9092/0?password=s3c"])
def test_of_a_place_without_a_scheme_no_password_is_shown(url: str) -> None:
    (shown,) = public_urls(url)
    assert shown.startswith("one:9092")
    assert "s3c" not in shown
    assert protocol_of(shown) == "busway"


def test_every_server_of_a_url_is_shown() -> None:
    broker = broker_on("kafka://one:9092,two:9092")
    broker.publisher("order.billed")
    found = document(broker)
    assert [each["host"] for each in found["servers"].values()] == ["one:9092", "two:9092"]


def test_a_bus_in_process_has_a_server_so_that_it_has_channels() -> None:
    broker = BusBroker(Bus("memory://"))
    broker.publisher("order.billed")
    assert list(document(broker)["channels"]) == ["order.billed:Publisher"]


def test_structs_attrs_classes_and_models_have_schemas() -> None:
    found = document(app_broker())
    schemas = found["components"]["schemas"]
    assert schemas["Tree"]["properties"]["kind"] == {"$ref": "#/components/schemas/Struct"}
    assert schemas["Tree"]["description"] == "Holds others."
    assert set(schemas["Leaf"]["properties"]) == {"colour"}
    assert set(schemas["Struct"]["properties"]) == {"name", "size"}
    assert set(schemas["Model"]["properties"]) == {"name", "size"}
    assert set(schemas["Cut"]["properties"]) == {"name"}
    assert set(schemas["Placed"]["properties"]) == {"order_id", "total"}


class Line(BaseModel):
    sku: str = Field(alias="theSku")


@event("asyncapi.ordered", version=2)
class Ordered(msgspec.Struct):
    """Holds models."""

    first: Line
    lines: list[Line]
    before: Ordered | None = None


@event("asyncapi.paid")
class Paid(BaseModel):
    total: Decimal = Field(alias="theTotal")
    lines: list[Line] = []

    @computed_field
    @property
    def twice(self) -> int:
        return 2


def describing() -> BusBroker:
    """Declared events wherever a handler may have them."""
    broker = broker_on("redis://one:6379")

    @broker.subscriber(Ordered)
    @broker.publisher(Paid)
    async def pay(event: Ordered) -> None: ...

    @broker.subscriber("asyncapi.paid")
    async def note(event: Paid) -> None: ...

    @broker.subscriber("asyncapi.*")
    async def either(event: Paid | Ordered | None) -> None: ...

    @broker.subscriber("order.listed")
    @broker.publisher("asyncapi.ordered")
    async def listed(event: list[Ordered]) -> Any: ...

    @broker.subscriber("paid.listed")
    async def paid(event: list[Paid]) -> None: ...

    return broker


@pytest.mark.filterwarnings("error")
def test_declared_events_are_described_as_the_bus_describes_them() -> None:
    """A warning would say that two schemas have one name."""
    broker = describing()
    found = document(broker)
    own = broker.bus.schemas(Ordered, Paid)
    schemas = found["components"]["schemas"]
    ordered = own["asyncapi.ordered"]["$defs"]["Ordered"]["properties"]
    assert schemas["Ordered"]["properties"]["lines"] == ordered["lines"]
    assert "theSku" in json.dumps(schemas["Ordered"])
    assert schemas["Ordered"]["properties"]["before"]["anyOf"] == [
        {"$ref": "#/components/schemas/Ordered"},
        {"type": "null"},
    ]
    assert schemas["Paid"]["properties"]["twice"] == own["asyncapi.paid"]["properties"]["twice"]
    assert schemas["Paid"]["required"] == own["asyncapi.paid"]["required"]
    assert schemas["Line"] == own["asyncapi.paid"]["$defs"]["Line"]


def test_a_publisher_of_declared_events_says_what_it_sends() -> None:
    found = document(describing())
    sent = {
        found["channels"][key]["address"]: found["components"]["messages"][f"{key}:Message"]
        for key in ("asyncapi.paid:Publisher", "asyncapi.ordered:Publisher")
    }
    assert {address: each["payload"] for address, each in sent.items()} == {
        "asyncapi.paid": {"$ref": "#/components/schemas/Paid"},
        "asyncapi.ordered": {"$ref": "#/components/schemas/Ordered"},
    }


def test_a_union_of_declared_events_is_any_of_them() -> None:
    schemas = document(describing())["components"]["schemas"]
    assert schemas["Either:Message:Payload"]["anyOf"] == [
        {"$ref": "#/components/schemas/Paid"},
        {"$ref": "#/components/schemas/Ordered"},
        {"type": "null"},
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+pubsub://ann:s3cret@one:1/0?client_name=s3cret", [("one:1", "/0", "redis")]),
        ("kafka://one:1,two:2", [("one:1", "", "kafka"), ("two:2", "", "kafka")]),
    ],
)
def test_a_bus_is_shown_where_a_broker_of_its_url_is(url: str, expected: Any) -> None:
    for broker in (BusBroker(Bus(url, service="shop")), broker_on(url)):
        broker.publisher("order.billed")
        servers = document(broker)["servers"].values()
        assert [(it["host"], it["pathname"], it["protocol"]) for it in servers] == expected


@pytest.mark.parametrize("broker", [app_broker, describing])
@pytest.mark.parametrize("version", ["2.6.0", "3.0.0"])
def test_every_reference_leads_somewhere(version: str, broker: Callable[[], BusBroker]) -> None:
    found = document(broker(), version)

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [each for value in part.values() for each in references(value)]
        return (
            [each for value in part for each in references(value)] if isinstance(part, list) else []
        )

    for reference in references(found):
        place: Any = found
        for step in reference.removeprefix("#/").split("/"):
            step = unquote(step.replace("~1", "/").replace("~0", "~"))
            assert step in place, reference
            place = place[step]


@pytest.mark.parametrize("url", ["memory://", "redis://one:6379", "kafka://one:9092,two:9092"])
def test_the_official_schema_takes_the_document(url: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    official = json.loads(gzip.decompress(OFFICIAL.read_bytes()))
    jsonschema.Draft7Validator(official).validate(document(app_broker(url)))
    jsonschema.Draft7Validator(official).validate(document(describing()))


def test_two_handlers_of_one_subscriber_are_alternatives() -> None:
    broker = broker_on()
    subscriber = broker.subscriber("tree.seen")

    @subscriber(filter=lambda message: True)
    async def one(event: Struct) -> None: ...

    @subscriber
    async def two(event: Model) -> None: ...

    found = document(broker)
    (message,) = found["components"]["messages"].values()
    assert len(message["payload"]["oneOf"]) == 2
