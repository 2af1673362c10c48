"""Reading for handlers that are not the bus's."""

from __future__ import annotations

import msgspec
import pytest

from busway import Envelope, HandlerError, Undecodable, event
from busway.middleware import reader_of

__all__: list[str] = []


@event("reading.weighed")
class Weighed(msgspec.Struct):
    grams: int


@event("reading.counted")
class Counted(msgspec.Struct):
    grams: int
    pieces: int = 0


class Unknown(msgspec.Struct):
    field: Missing  # type: ignore[name-defined]  # noqa: F821


def test_it_reads_what_a_handler_of_a_bus_would_be_given() -> None:
    read = reader_of(Weighed | Counted)
    for topic, kind in (("reading.weighed", Weighed), ("reading.counted", Counted)):
        off_a_wire = Envelope(topic, msgspec.Raw(b'{"grams":3}'))
        assert read(off_a_wire) == read(Envelope(topic, {"grams": 3})) == kind(3)


def test_what_does_not_fit_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="does not fit Weighed"):
        reader_of(Weighed)(Envelope("reading.weighed", {"grams": "many"}))


@pytest.mark.parametrize("kind", [Unknown, list[Weighed | Counted]])
def test_what_nothing_can_be_read_into_is_said_when_it_is_made(kind: object) -> None:
    """A field whose annotation names nothing is one."""
    with pytest.raises(HandlerError, match="nothing can be converted to"):
        reader_of(kind)
