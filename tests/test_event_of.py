"""What a handler would get, asked for outside of one."""

from __future__ import annotations

import msgspec
import pytest

from busway import Envelope, PatternError, Undecodable, event, event_of, matches

__all__: list[str] = []


@event("read.outside")
class Read(msgspec.Struct, frozen=True):
    id: str


def off_the_wire(topic: str, data: bytes) -> Envelope:
    return Envelope(topic, msgspec.Raw(data), content_type="application/json")


def test_the_event_in_an_envelope_is_an_object_of_its_class() -> None:
    assert event_of(off_the_wire("read.outside", b'{"id":"a"}')) == Read("a")
    assert event_of(Envelope("read.outside", Read("a"))) == Read("a")


def test_what_no_class_is_declared_for_is_builtins() -> None:
    assert event_of(off_the_wire("read.elsewhere", b'{"id":"a"}')) == {"id": "a"}


def test_data_that_does_not_fit_its_class_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        event_of(off_the_wire("read.outside", b'{"id":1}'))


def test_a_pattern_matches_outside_as_it_does_in_a_subscription() -> None:
    assert matches("order.*", "order.placed")
    assert not matches("order.*", "order:placed")
    with pytest.raises(PatternError):
        matches("order..placed", "order.placed")
