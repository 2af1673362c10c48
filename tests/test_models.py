"""Events of every kind of class, with fields of every type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busway import EncodeError
from busway._convert import converter
from busway.codec import JsonCodec, MsgpackCodec, decode, decode_binary, encode_binary
from busway.message import Envelope
from tests.kinds_of_models import FIELDS, KINDS, PORTABLE, VALUES, AsBase64, AsModel, Colour, Size

__all__: list[str] = []

every_codec = pytest.mark.parametrize(
    "codec", [JsonCodec(), MsgpackCodec()], ids=lambda codec: codec.name
)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

PLAIN = {name: value for name, value in VALUES.items() if name != "seal"}
PAIRS = [
    pytest.param(*pair, id="-".join(each.__name__ for each in pair))
    for pair in product(PORTABLE, PORTABLE)
]


def wired(event: Any, codec: Any) -> Envelope:
    return decode(codec.encode(Envelope("order.placed", event, "shop", 1.0)))


@every_codec
@every_kind
@pytest.mark.parametrize("field", FIELDS)
def test_every_type_arrives_as_it_was_in_every_kind_of_class(
    field: str, kind: Any, codec: Any
) -> None:
    got = converter(kind)(wired(kind(**VALUES), codec))
    value = got[field] if isinstance(got, dict) else getattr(got, field)
    assert value == VALUES[field]
    assert type(value) is type(VALUES[field])


MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC)
)
FIELD_VALUES = st.fixed_dictionaries(
    {
        "at": MOMENTS,
        "local": st.datetimes(),
        "day": st.dates(),
        "hour": st.times(),
        "took": st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999)),
        "total": st.decimals(allow_nan=False, allow_infinity=False),
        "id": st.uuids(),
        "colour": st.sampled_from(Colour),
        "size": st.sampled_from(Size),
        "seal": st.text(st.characters(codec="utf-8")).map(str.encode),
        "tags": st.sets(st.text()),
        "lines": st.frozensets(st.integers(-(2**53), 2**53)),
        "pair": st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()),
        "by_name": st.dictionaries(st.text(), st.decimals(allow_nan=False, allow_infinity=False)),
        "maybe": st.none() | st.dates(),
    }
)


@every_codec
@every_kind
@given(values=FIELD_VALUES)
def test_any_value_arrives_as_it_was(kind: Any, codec: Any, values: dict[str, Any]) -> None:
    event = kind(**values)
    assert converter(kind)(wired(event, codec)) == event


@every_codec
@given(seal=st.binary())
def test_any_bytes_arrive_in_a_model_that_writes_them_as_base64(codec: Any, seal: bytes) -> None:
    event = AsBase64(**{**VALUES, "seal": seal})
    assert converter(AsBase64)(wired(event, codec)) == event


@every_codec
def test_bytes_that_are_no_text_are_not_sent_by_a_model_that_writes_them_as_text(
    codec: Any,
) -> None:
    with pytest.raises(EncodeError, match=r"order\.placed: AsModel .*invalid utf-8"):
        wired(AsModel(**{**VALUES, "seal": b"\xff"}), codec)


@every_codec
@pytest.mark.parametrize(("writer", "kind"), PAIRS)
def test_what_one_kind_of_class_wrote_another_reads(writer: Any, kind: Any, codec: Any) -> None:
    """But for bytes, which each kind writes in its own way."""
    got = converter(kind)(wired(writer(**PLAIN), codec))
    assert got == kind(**PLAIN)


@pytest.mark.parametrize(("writer", "kind"), PAIRS)
def test_in_process_another_kind_of_class_reads_it_as_well(writer: Any, kind: Any) -> None:
    event = writer(**PLAIN)
    got = converter(kind)(Envelope("order.placed", event, "shop", 1.0))
    assert got == kind(**PLAIN)


def test_a_model_goes_through_binary_mode() -> None:
    event = AsModel(**VALUES)
    envelope = Envelope("order.placed", event, "shop", 1.0)
    assert converter(AsModel)(decode_binary(*encode_binary(envelope))) == event
