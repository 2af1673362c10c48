"""``@event``: what may be declared, where the envelope's fields are found, what is refused."""

from __future__ import annotations

import gc
import re
import typing
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import new_class
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
import typing_extensions

from busway import Bus, DeadLetter, Envelope, EventError, Retry, TopicError, event
from busway._declared import declaration_of, declared_for

__all__: list[str] = []


@event("declared.struct", key="who", tenant="shop", idempotency_key="number")
class Struct(msgspec.Struct, frozen=True):
    who: str
    number: int
    shop: str | None = None


@event("declared.dataclass", key="who")
@dataclass(frozen=True)
class Data:
    who: str


@event("declared.slots", key="who")
@dataclass(frozen=True, slots=True)
class Slots:
    who: str


@event("declared.attrs", key="who")
@attrs.frozen
class Attrs:
    who: str


@event("declared.typed", key="who")
class Typed(TypedDict):
    who: str


@event("declared.older.typed", key="who")
class OlderTyped(typing_extensions.TypedDict):
    who: str


@event("declared.tuple", key="who")
class Tuple(NamedTuple):
    who: str


def place() -> str:
    return Path(__file__).name


@pytest.mark.parametrize("made", [Struct("ada", 7), Data("ada"), Slots("ada"), Attrs("ada")])
def test_an_event_may_be_a_struct_a_dataclass_or_an_attrs_class(made: Any) -> None:
    envelope = Bus().envelope(made)
    assert envelope.key == "ada"
    assert envelope.data is made


def test_a_typed_dict_is_published_by_its_topics_name() -> None:
    assert Bus().envelope("declared.typed", Typed(who="ada")).key == "ada"
    assert Bus().envelope("declared.older.typed", OlderTyped(who="ada")).key == "ada"


def test_a_named_tuple_is_an_event_too() -> None:
    assert Bus().envelope(Tuple("ada")).key == "ada"


def test_the_class_is_returned_unchanged() -> None:
    assert Struct("ada", 1) == Struct("ada", 1)
    assert declared_for("declared.struct") is Struct


@pytest.mark.parametrize("option", ["key", "idempotency_key", "correlation_id", "tenant"])
def test_a_field_is_named_or_found_by_a_function(option: str) -> None:
    class Made(msgspec.Struct):
        who: str

    bus = Bus()
    event("option.named", **{option: "who"})(Made)  # type: ignore[arg-type]
    assert getattr(bus.envelope(Made("ada")), option) == "ada"
    event("option.named", **{option: lambda made: made.who.upper()})(Made)  # type: ignore[arg-type]
    assert getattr(Bus().envelope(Made("ada")), option) == "ADA"


@pytest.mark.parametrize("option", ["aggregate", "resource"])
def test_an_aggregate_is_a_pair_of_a_type_and_a_field_or_a_function(option: str) -> None:
    class Made(msgspec.Struct):
        number: int | None

    for given in (("order", "number"), lambda made: ("order", made.number)):
        event("option.pair", **{option: given})(Made)
        assert getattr(Bus().envelope(Made(7)), option) == ("order", "7")
    event("option.pair", **{option: ("order", "number")})(Made)  # type: ignore[arg-type]
    assert getattr(Bus().envelope(Made(None)), option) is None, "no id, no aggregate"


def test_a_function_that_returns_no_pair_is_an_error_that_names_the_class() -> None:
    @event("option.nopair", aggregate=lambda made: "order")  # type: ignore[arg-type,return-value]
    class Made(msgspec.Struct):
        number: int

    with pytest.raises(EventError, match=r"aggregate= of .*Made .*returned 'order'.* pair"):
        Bus().envelope(Made(7))


def test_what_is_no_text_is_made_one() -> None:
    number = uuid.uuid4()

    @event("option.text", key="number", idempotency_key="count")
    class Made(msgspec.Struct):
        number: uuid.UUID
        count: int

    envelope = Bus().envelope(Made(number, 3))
    assert (envelope.key, envelope.idempotency_key) == (str(number), "3")


def test_a_property_can_be_named() -> None:
    @event("option.property", key="both")
    class Made(msgspec.Struct):
        one: str
        two: str

        @property
        def both(self) -> str:
            return f"{self.one}-{self.two}"

    assert Bus().envelope(Made("a", "b")).key == "a-b"


def test_version_channel_and_retry_are_constants() -> None:
    policy = Retry(attempts=2)

    @event("option.constant", version=3, channel="elsewhere", retry=policy)
    class Made(msgspec.Struct):
        number: int

    assert Bus().envelope(Made(1)).schema_version == 3
    assert Bus().envelope("option.constant", {"number": 1}).schema_version == 3
    declared = declaration_of(Made)
    assert declared is not None
    assert (declared.channel, declared.retry) == ("elsewhere", policy)


def test_a_topic_has_one_class_and_the_error_names_both_places() -> None:
    @event("twice.declared")
    class One(msgspec.Struct):
        a: int

    with pytest.raises(EventError) as caught:

        @event("twice.declared")
        class Two(msgspec.Struct):
            a: int

    message = str(caught.value)
    assert len(re.findall(rf"{place()}:\d+", message)) == 2
    assert "One" in message
    assert "Two" in message
    assert declared_for("twice.declared") is One


def test_a_module_that_is_run_again_declares_its_classes_again() -> None:
    def run() -> type:
        @event("again.declared")
        class Again(msgspec.Struct):
            a: int

        return Again

    first = run()
    second = run()
    assert first is not second
    assert declared_for("again.declared") is second


def test_a_class_that_is_gone_frees_its_topic() -> None:
    def declare(name: str) -> None:
        event("gone.declared")(msgspec.defstruct(name, [("a", int)]))

    declare("One")
    declare("Other")
    gc.collect()
    assert declared_for("gone.declared") is None


def test_a_subclass_is_another_event() -> None:
    class Sub(Data):
        pass

    with pytest.raises(EventError, match=r"Sub is not declared as an event: put @event"):
        Bus().envelope(Sub("ada"))


@pytest.mark.parametrize("topic", ["order.*", "", "order..placed", "order placed", 42])
def test_an_ill_formed_topic_is_an_error_where_it_is_declared(topic: Any) -> None:
    with pytest.raises(TopicError, match=rf"{place()}:\d+: topic "):
        event(topic)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": "whom"}, r"has no field 'whom' for key=; its fields: who$"),
        ({"key": 7}, r"key=7: it takes the name of a field, or a function"),
        ({"aggregate": "who"}, r"aggregate='who': it takes a pair such as \(\"order\""),
        ({"aggregate": ("order", "whom")}, r"no field 'whom' for aggregate="),
        ({"resource": (7, "who")}, r"resource=\(7, 'who'\): it takes a pair"),
        ({"version": 0}, r"version=0: it takes a whole number of 1 or more"),
        ({"version": "2"}, r"version='2': it takes a whole number"),
        ({"retry": 3}, r"retry=3: it takes a Retry"),
        ({"channel": "a b"}, r"channel='a b': its name follows a topic's rules"),
    ],
)
def test_an_option_that_cannot_work_names_the_place_and_what_it_takes(
    options: dict[str, Any], says: str
) -> None:
    class Made(msgspec.Struct):
        who: str

    with pytest.raises(EventError, match=rf"{place()}:\d+.*{says}"):
        event("option.wrong", **options)(Made)


def test_a_class_that_no_decorator_has_made_yet_is_refused() -> None:
    """Below ``@attrs.define`` or ``@dataclass(slots=True)``, which make another class."""
    with pytest.raises(EventError, match=r"Made is a plain class.*put @event above the decorator"):

        @attrs.define
        @event("order.wrong")
        class Made:
            who: str


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(EventError, match=r"stands at a class"):
        event("declared.function")(lambda: None)  # type: ignore[type-var]


def test_no_tenant_in_the_event_is_no_tenant_whatever_is_inherited() -> None:
    bus = Bus()
    parent = bus.envelope(Struct("ada", 1, "acme"))
    assert bus._child(parent, Struct("ada", 2, None), None, {}).tenant is None
    assert bus._child(parent, Data("ada"), None, {}).tenant == "acme"


@pytest.mark.parametrize("check", ["warn", "off"])
def test_data_that_is_let_through_unchecked_keeps_its_key(check: Any) -> None:
    bus = Bus(validate=check)
    envelope = bus.envelope("declared.struct", {"who": "ada", "number": "none"})
    assert (envelope.key, envelope.idempotency_key) == ("ada", "none")
    assert bus.envelope("declared.struct", {"number": []}).key is None
    assert bus.envelope("declared.struct", "no mapping at all").key is None


def test_a_class_declared_after_its_topic_was_used_is_noticed() -> None:
    bus = Bus()
    assert bus.envelope("late.declared", {"who": "ada"}).key is None

    @event("late.declared", key="who")
    class Late(msgspec.Struct):
        who: str

    assert bus.envelope("late.declared", {"who": "ada"}).key == "ada"


def test_distinct_classes_do_not_grow_memory() -> None:
    bus = Bus()
    from busway import _sealing

    kept = _sealing._KEPT
    _sealing._KEPT = 50
    try:
        for number in range(200):
            cls = new_class(f"Made{number}", (msgspec.Struct,))
            event(f"many.made{number}")(cls)
            bus.envelope(cls())
    finally:
        _sealing._KEPT = kept
    assert len(bus._parts.sealer._by_class) <= 50
    del cls
    bus._parts.sealer._by_class.clear()
    gc.collect()
    assert [n for n in range(200) if declared_for(f"many.made{n}") is not None] == []


def test_annotations_of_public_classes_can_be_read_at_run_time() -> None:
    """An application's own struct may hold an Envelope."""

    class Kept(msgspec.Struct):
        envelope: Envelope

    assert typing.get_type_hints(Envelope)["data"] is Any
    assert "content" in typing.get_type_hints(DeadLetter)
    kept = Kept(Envelope("order.placed", {"a": 1}, "shop", 1.0))
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Kept) == kept
    assert Envelope.__module__ == "busway"
