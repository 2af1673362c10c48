"""The AsyncAPI document of a bus, against the official schema of AsyncAPI 3.0."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from busway import Actor, Bus, EventError, OptionError, event, on
from busway.codec import JsonCodec
from busway.memory import MemoryTransport

__all__: list[str] = []

OFFICIAL = Path(__file__).parent / "asyncapi" / "asyncapi-3.0.0.json.gz"
META = jsonschema.Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    pair: tuple[int, str] = (1, "one")


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    friend: Dog | None = None


@event("api:pet.seen", key="name", version=2)
class PetSeen(BaseModel):
    name: str = Field(alias="petName")
    pet: Cat | Dog = Field(discriminator="kind")


class Line(msgspec.Struct):
    sku: str
    pair: tuple[int, str] = (1, "one")


@event("api.order.placed", key="order_id")
class OrderPlaced(msgspec.Struct):
    order_id: str
    lines: list[Line] = []


@event("api.order.paid", key="order_id", channel="ledger")
class OrderPaid(msgspec.Struct):
    order_id: str
    before: OrderPaid | None = None


def takes(annotation: Any) -> Any:
    async def handle(data: Any) -> None: ...

    handle.__annotations__["data"] = annotation
    return handle


def shop(url: Any = "memory://", **options: Any) -> Bus:
    """A bus with handlers of every kind."""
    bus = Bus(url, service="shop", **options)

    class Keeper(Actor):
        @on("api.order.placed")
        async def placed(self, order: OrderPlaced) -> None: ...

        @on("api.*.paid")
        async def paid(self, order: OrderPaid) -> None: ...

    bus.add(Keeper(), group="keeper")
    bus.add(takes(PetSeen), "api:**", group="pets", concurrency=4)
    bus.add(takes(OrderPlaced | OrderPaid), "api.**", group="books")
    bus.add(takes(Any), "api.**", "line.*", group="audit", broadcast=True)
    bus.add(takes(dict), "unknown.*", group="later")
    bus.add(takes(Line), "line.{added,removed}", group="stock")
    return bus


def document(bus: Bus | None = None, **options: Any) -> Any:
    """Valid, and as others read it. What other tests have declared is left out."""
    options.setdefault("sends", ["api.**", "api:**"])
    made = (bus or shop()).asyncapi(**options)
    read = json.loads(json.dumps(made))
    assert read == made
    META.validate(read)
    for reference in references(read):
        resolved(read, reference)
    return read


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [each for one in part for each in references(one)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + references(list(part.values()))


def resolved(whole: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for step in reference[2:].split("/"):
        whole = whole[step]
    return whole


def payload(whole: Any, message: str) -> jsonschema.Draft7Validator:
    schema = whole["components"]["messages"][message]["payload"]
    return jsonschema.Draft7Validator({**schema, "components": whole["components"]})


def wire(envelope: Any) -> Any:
    return json.loads(JsonCodec().encode(envelope))


def test_the_official_schema_refuses_what_is_no_asyncapi() -> None:
    """Or the tests below would prove nothing."""
    good = document()
    for path, value in [
        ("asyncapi", "2.6.0"),
        ("info.version", 1),
        ("channels.api.address", 1),
        ("operations.send.api.action", "publish"),
        ("components.schemas.PetSeen.type", "struct"),
    ]:
        bad = copy.deepcopy(good)
        *steps, last = path.replace("send.api", "send/api").split(".")
        part = bad
        for step in steps:
            part = part[step.replace("/", ".")]
        part[last] = value
        assert not META.is_valid(bad), path


@pytest.mark.parametrize(
    "url",
    [
        "memory://?codec=json",
        "null://",
        "redis://user:secret@db.example:6379/3?timeout=3&password=secret",
        "rediss://:sec%2Fret@db.example",
        "redis+sentinel://:secret@one:26379,two:26379/master",
        "unix:///run/redis.sock",
        "kafka://one:9092,two:9092",
        "kafka+sasl_ssl://user:secret@one:9093?sasl_mechanism=PLAIN",
    ],
)
def test_the_document_of_any_url_is_valid_and_holds_no_secrets(url: str) -> None:
    found = document(shop(url))
    assert "secret" not in json.dumps(found)
    assert "ret" not in json.dumps(found.get("servers", {}))
    assert ("servers" in found) == (not url.startswith(("memory", "null")))


def test_servers_are_the_hosts_of_the_url() -> None:
    servers = document(shop("kafka+ssl://one:9093,two:9093"))["servers"]
    assert [(each["host"], each["protocol"]) for each in servers.values()] == [
        ("one:9093", "kafka-secure"),
        ("two:9093", "kafka-secure"),
    ]
    assert document(shop("redis://db.example:6379/3"))["servers"]["redis"] == {
        "host": "db.example:6379",
        "pathname": "/3",
        "protocol": "redis",
        "description": "redis://",
    }


def test_a_transport_object_has_no_server() -> None:
    assert "servers" not in document(shop(MemoryTransport()))


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_messages_say_how_the_bus_writes(codec: str) -> None:
    found = document(shop(codec=codec))
    types = {each["contentType"] for each in found["components"]["messages"].values()}
    assert types == {found["defaultContentType"]}
    assert codec in found["defaultContentType"]


def test_what_is_told_of_the_service_stands_in_it() -> None:
    assert document()["info"] == {"title": "shop", "version": "1.0.0"}
    info = document(title="Shop", version="2.1", description="Sells.")["info"]
    assert info == {"title": "Shop", "version": "2.1", "description": "Sells."}


def test_topics_lie_in_the_channels_of_the_bus() -> None:
    channels = document()["channels"]
    assert {name: set(each["messages"]) for name, each in channels.items()} == {
        "api": {"api.order.placed", "api_pet.seen"},
        "ledger": {"api.order.paid"},
        "line": {"line.added", "line.removed"},
        "unknown": {"unknown._"},
    }
    assert channels["ledger"]["address"] == "ledger"
    moved = document(shop(channels={"api.**": "moved", "api.order.paid": "paid"}))["channels"]
    assert set(moved) == {"api", "moved", "paid", "line", "unknown"}


def test_every_handler_is_an_operation_that_says_its_group() -> None:
    operations = document()["operations"]
    received = {
        name: ([each["$ref"].rpartition("/")[2] for each in one["messages"]], one["x-busway"])
        for name, one in operations.items()
        if one["action"] == "receive"
    }
    assert received["receive.pets.handle"] == (
        ["api_pet.seen"],
        {
            "group": "pets",
            "handler": "handle",
            "patterns": ["api:**"],
            "concurrency": 4,
            "broadcast": False,
        },
    )
    assert received["receive.keeper.Keeper.placed"][0] == ["api.order.placed"]
    assert received["receive.keeper.Keeper.paid"][0] == ["api.order.paid"]
    assert received["receive.books.handle.api"][0] == ["api.order.placed"]
    assert received["receive.books.handle.ledger"][0] == ["api.order.paid"]
    assert received["receive.audit.handle.line"][1]["broadcast"]
    assert received["receive.later.handle"][0] == ["unknown._"]


def test_what_is_sent_is_what_the_application_says() -> None:
    def sent(**options: Any) -> Any:
        return {
            name: [each["$ref"].rpartition("/")[2] for each in one["messages"]]
            for name, one in document(**options)["operations"].items()
            if one["action"] == "send"
        }

    assert sent(sends=()) == {}
    assert sent(sends=[OrderPlaced]) == {"send.api": ["api.order.placed"]}
    assert sent(sends=["api.order.*", "never.declared"]) == {
        "send.ledger": ["api.order.paid"],
        "send.api": ["api.order.placed"],
        "send.never": ["never.declared"],
    }
    assert sent(sends=(each for each in ["some.*"])) == {"send.some": ["some._"]}
    assert sent(sends=["*.of.all"]) == {"send.any": ["_.of.all"]}


def test_without_a_word_every_declared_class_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    # Those of this file. Other tests declare what cannot be described.
    ours = ["api.order.placed", "api.order.paid"]
    monkeypatch.setattr("busway._catalogue.declared_topics", lambda: ours)
    operations = document(Bus(service="shop"), sends=None)["operations"]
    assert list(operations) == ["send.ledger", "send.api"]


def test_a_pattern_of_no_known_channel_has_one_without_an_address() -> None:
    bus = Bus(service="shop")
    bus.add(takes(Line), "*.nowhere.at.all", group="any")
    found = document(bus, sends=())
    assert found["channels"]["any"]["address"] is None
    (name,) = found["channels"]["any"]["messages"]
    assert found["components"]["messages"][name]["title"] == "*.nowhere.at.all"
    assert payload(found, name).is_valid(
        wire(bus.envelope("so.nowhere.at.all", {"sku": "s", "pair": [1, "a"]}))
    )
    assert not payload(found, name).is_valid(wire(bus.envelope("so.nowhere.at.all", {"sku": 1})))


def test_a_pattern_beside_a_topic_in_one_pair_of_braces_is_told_too() -> None:
    bus = Bus(service="shop")
    bus.add(takes(Line), "{cart.made,basket.*}", group="any")
    found = document(bus, sends=["{cart.made,basket.*}"])
    messages = found["components"]["messages"]
    assert sorted(each["title"] for each in messages.values()) == ["basket.*", "cart.made"]
    told = {name: len(each["messages"]) for name, each in found["operations"].items()}
    assert told == {
        "receive.any.handle.cart": 1,
        "receive.any.handle.basket": 1,
        "send.cart": 1,
        "send.basket": 1,
    }
    check = payload(found, "basket._")
    assert not check.is_valid(wire(bus.envelope("basket.made", {"sku": 1})))


def test_what_a_bus_writes_fits_the_payload_of_its_message() -> None:
    bus = shop()
    found = document(bus)
    seen = PetSeen(petName="tom", pet=Cat())
    check = payload(found, "api_pet.seen")
    full = wire(
        bus.envelope(
            seen,
            headers={"a": "b"},
            tenant="t",
            user="u",
            aggregate=("pet", "tom"),
            resource=("pet", "tom"),
            idempotency_key="i",
            causation_id="c",
            correlation_id="d",
        )
    )
    check.validate(full)
    assert set(full) - set(found["components"]["schemas"]["CloudEvent"]["properties"]) == set()
    for wrong in (
        {"type": "api.pet.seen"},
        {"schemaversion": 1},
        {"data": {"petName": "tom", "pet": {"kind": "cow"}}},
        {"data": {"petName": "tom", "pet": {"kind": "cat", "pair": [1, "one", 2]}}},
        {"data": {"petName": "tom", "pet": {"kind": "cat", "pair": ["one", 1]}}},
        {"id": ""},
    ):
        assert not check.is_valid({**full, **wrong}), wrong


def test_classes_of_one_name_stay_apart_and_one_class_is_described_once() -> None:
    def made(kind: Any) -> Any:
        return msgspec.defstruct("Item", [("n", kind), ("next", Line | None, None)])

    bus = Bus(service="shop")
    for topic, annotation in [
        ("item.text", made(str)),
        ("item.number", made(int)),
        ("item.texts", dict[str, made(str)]),
    ]:
        bus.add(takes(annotation), topic, group=topic)
    found = document(bus, sends=())
    assert sorted(found["components"]["schemas"]) == [
        "CloudEvent",
        "Item",
        "Item_2",
        "Line",
        "item.texts",
    ]
    assert payload(found, "item.text").is_valid(wire(bus.envelope("item.text", {"n": "a"})))
    assert not payload(found, "item.number").is_valid(wire(bus.envelope("item.number", {"n": "a"})))


def test_a_class_named_as_the_envelope_does_not_take_its_place() -> None:
    bus = Bus(service="shop")
    bus.add(takes(msgspec.defstruct("CloudEvent", [("n", int)])), "cloud.seen")
    schemas = document(bus, sends=())["components"]["schemas"]
    assert list(schemas) == ["CloudEvent", "CloudEvent_2"]
    assert "specversion" in schemas["CloudEvent"]["properties"]


def test_words_of_json_schema_as_names_of_fields_stay_as_they_are() -> None:
    class Odd(BaseModel):
        prefixItems: int
        items: list[int]
        ref: str = Field(alias="$ref", default="#/$defs/nothing")
        nested: dict[str, Any] = {"prefixItems": [1], "discriminator": 1}
        discriminator: str = Field(default="x", examples=["#/$defs/y"])

    bus = Bus(service="shop")
    bus.add(takes(Odd), "odd.seen")
    made = bus.asyncapi(sends=())
    META.validate(json.loads(json.dumps(made)))
    odd = made["components"]["schemas"]["Odd"]
    assert set(odd["properties"]) == {"prefixItems", "items", "$ref", "nested", "discriminator"}
    assert odd["properties"]["nested"]["default"] == {"prefixItems": [1], "discriminator": 1}
    assert odd["properties"]["$ref"]["default"] == "#/$defs/nothing"


NAMES = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="*?[]{}\\.:"),
    min_size=1,
    max_size=8,
)


@given(topics=st.lists(NAMES, max_size=5), group=NAMES)
def test_names_that_asyncapi_does_not_allow_are_spelt_otherwise(
    topics: list[str], group: str
) -> None:
    bus = Bus(service="shop")
    bus.add(takes(Line), *(f"t.{topic}" for topic in topics), "t.t", group=group)
    found = document(bus, sends=())
    named = [each["name"] for each in found["components"]["messages"].values()]
    assert sorted(named) == sorted({"t.t", *(f"t.{topic}" for topic in topics)})


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sends", ["api.order.*", OrderPlaced, 7])
def test_one_topic_in_place_of_a_list_is_an_error(sends: Any) -> None:
    with pytest.raises(OptionError, match=r"sends=.*: it takes a list: sends=\["):
        shop().asyncapi(sends=sends)


def test_a_class_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(EventError, match="neither a pattern nor a declared event class"):
        shop().asyncapi(sends=[Line])


def test_a_reference_to_what_is_nowhere_does_not_keep_the_others_from_being_told() -> None:
    nowhere = msgspec.Meta(extra_json_schema={"$ref": "#/$defs/No"})
    Pointing = msgspec.defstruct("Pointing", [("a", Annotated[int, nowhere])])
    bus = Bus(service="shop")
    bus.add(takes(Pointing), "pointing.seen")
    bus.add(takes(Line), "line.seen", group="line")
    found = document(bus, sends=())
    a = found["components"]["schemas"]["Pointing"]["properties"]["a"]
    assert a["description"] == "Any value: its schema refers to 'No', which is nowhere."
    assert not payload(found, "line.seen").is_valid(wire(bus.envelope("line.seen", {"sku": 1})))


def test_an_event_without_a_schema_does_not_keep_the_others_from_being_told() -> None:
    class Opaque:
        pass

    bus = Bus(service="shop")
    bus.add(takes(msgspec.defstruct("Odd", [("what", Opaque)])), "opaque.seen")
    bus.add(takes(Line), "line.seen", group="line")
    found = document(bus, sends=())
    odd = found["components"]["schemas"]["opaque.seen"]
    assert odd["description"].startswith("Any value: Odd cannot be described")
    assert payload(found, "opaque.seen").is_valid(wire(bus.envelope("opaque.seen", {"what": 1})))
    assert not payload(found, "line.seen").is_valid(wire(bus.envelope("line.seen", {"sku": 1})))
