"""Envelopes as bytes: what is written, what is read, and what is refused."""

from __future__ import annotations

import base64
import json
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from busway.codec import (
    Codec,
    JsonCodec,
    MsgpackCodec,
    codec,
    decode,
    decode_binary,
    encode_binary,
)
from busway.errors import EncodeError, OptionError, PublishError, TooLarge, Undecodable
from busway.message import Envelope
from busway.transport import Encoder

__all__: list[str] = []

CODECS: list[Codec] = [JsonCodec(), MsgpackCodec()]
both = pytest.mark.parametrize("by", CODECS, ids=["json", "msgpack"])
DATA = {"order_id": "o-1", "total": 99.5}


def full() -> Envelope:
    """An envelope with something in every field."""
    return Envelope(
        "order.placed",
        DATA,
        "shop",
        1_767_225_600.123456,
        subject="o-1",
        given_id="id-1",
        given_correlation_id="corr-1",
        causation_id="cause-1",
        idempotency_key="idem-1",
        schema_version=3,
        tenant="t-1",
        user="u-1",
        aggregate=("order", "o-1"),
        resource=("page", "p-1"),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="vendor=1",
        reply_to="app.replies",
        headers={"X-Shop": "für", "empty": ""},
    )


def document(**changes: Any) -> bytes:
    """A CloudEvents document as another producer writes it; None takes an attribute out."""
    attributes = {"specversion": "1.0", "id": "1", "source": "/x", "type": "a.b", **changes}
    return json.dumps({k: v for k, v in attributes.items() if v is not None}).encode()


def told(envelope: Envelope) -> dict[str, Any]:
    """Every field of an envelope, data as builtins and the moment as it is shown."""
    fields = msgspec.structs.asdict(envelope)
    del fields["timestamp"], fields["content_type"]
    if isinstance(envelope.data, Raw):
        msgpack = envelope.content_type == "application/msgpack"
        fields["data"] = (msgspec.msgpack if msgpack else msgspec.json).decode(envelope.data)
    return {**fields, "time": envelope.time, "id": envelope.id}


# --- what is written -----------------------------------------------------------------------------


def test_the_json_form_is_this_document() -> None:
    assert json.loads(JsonCodec().encode(full())) == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "shop",
        "type": "order.placed",
        "time": "2026-01-01T00:00:00.123456Z",
        "subject": "o-1",
        "datacontenttype": "application/json",
        "data": DATA,
        "partitionkey": "o-1",
        "correlationid": "corr-1",
        "causationid": "cause-1",
        "idempotencykey": "idem-1",
        "schemaversion": 3,
        "tenant": "t-1",
        "userid": "u-1",
        "aggregatetype": "order",
        "aggregateid": "o-1",
        "resourcetype": "page",
        "resourceid": "p-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=1",
        "replyto": "app.replies",
        "headers": '{"X-Shop":"für","empty":""}',
    }


@both
def test_absent_fields_are_omitted(by: Codec) -> None:
    read = (msgspec.json if by.name == "json" else msgspec.msgpack).decode
    written = read(by.encode(Envelope("a", 1, "s", 1.0, given_id="1")))
    assert set(written) == {
        "specversion", "id", "source", "type", "time", "datacontenttype", "data",
    }  # fmt: skip


def test_every_attribute_name_is_one_cloudevents_allows() -> None:
    """Lower-case letters and digits, at most twenty."""
    names = set(json.loads(JsonCodec().encode(full())))
    assert [n for n in names if not (n.isascii() and n.isalnum() and n.islower())] == []
    assert max(map(len, names)) <= 20


@both
def test_the_id_is_made_when_it_leaves_and_then_stays(by: Codec) -> None:
    envelope = Envelope("a", 1, "s", 1.0)
    assert decode(by.encode(envelope)).id == envelope.id
    assert decode(by.encode(envelope)).id == envelope.id


@both
def test_encoding_changes_no_envelope(by: Codec) -> None:
    envelope = full()
    by.encode(envelope)
    assert envelope == full()


@both
def test_a_codec_is_what_a_transport_takes_for_an_encoder(by: Codec) -> None:
    encoder: Encoder = by
    assert encoder.content_type.startswith("application/cloudevents+")


def test_a_codec_is_found_by_its_name() -> None:
    assert isinstance(codec("json"), JsonCodec)
    assert isinstance(codec("msgpack"), MsgpackCodec)
    with pytest.raises(OptionError, match="'xml' is unknown; known are json, msgpack"):
        codec("xml")
    with pytest.raises(OptionError, match="1 byte or more"):
        codec("json", max_size=0)


@pytest.mark.parametrize("make", [JsonCodec, MsgpackCodec])
def test_an_envelope_at_the_limit_passes_and_one_byte_over_does_not(make: Any) -> None:
    size = len(make().encode(full()))
    assert len(make(max_size=size).encode(full())) == size
    with pytest.raises(TooLarge, match=r"order\.placed: .* over the limit"):
        make(max_size=size - 1).encode(full())
    assert len(make(max_size=None).encode(Envelope("a", "x" * 2_000_000, "s"))) > 2_000_000


# --- round trips ---------------------------------------------------------------------------------

texts = st.text(max_size=20)
names = st.text(min_size=1, max_size=20)
maybe = st.none() | texts
pairs = st.none() | st.tuples(texts, texts)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
envelopes = st.builds(
    lambda *fields: Envelope(*fields),
    names,
    values,
    names,
    st.floats(0, 4e9),
    maybe,
    names,
    st.none() | names,
    maybe,
    maybe,
    st.integers(-(2**31), 2**31 - 1),
    maybe,
    maybe,
    pairs,
    pairs,
    maybe,
    maybe,
    maybe,
    st.dictionaries(texts, texts, max_size=3),
)


@both
@given(envelopes)
def test_every_field_survives(by: Codec, envelope: Envelope) -> None:
    assert told(decode(by.encode(envelope))) == told(envelope)


@both
@given(envelopes)
def test_what_was_read_is_written_again_byte_for_byte(by: Codec, envelope: Envelope) -> None:
    written = by.encode(decode(by.encode(envelope)))
    assert by.encode(decode(written)) == written


@given(envelopes)
def test_a_resend_by_the_other_codec_leaves_the_data_untouched(envelope: Envelope) -> None:
    for first, second in ((CODECS[0], CODECS[1]), (CODECS[1], CODECS[0])):
        once = decode(first.encode(envelope))
        twice = decode(second.encode(once))
        assert (bytes(twice.data), twice.content_type) == (bytes(once.data), once.content_type)
        assert told(twice) == told(envelope)


@given(envelopes)
def test_every_field_survives_binary_mode(envelope: Envelope) -> None:
    headers, body = encode_binary(envelope)
    assert told(decode_binary(headers, body)) == told(envelope)
    as_bytes = {name: text.encode() for name, text in headers.items()}
    assert told(decode_binary(as_bytes, body)) == told(envelope)


@given(st.floats(-62_135_596_800.0, 253_402_300_799.0))
def test_the_time_is_the_microsecond_next_to_the_timestamp(stamp: float) -> None:
    since = Envelope("a", 1, "s", stamp).time - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = since // timedelta(microseconds=1)
    assert abs(microseconds - Fraction(stamp) * 1_000_000) < Fraction(51, 100)


@both
@pytest.mark.parametrize("stamp", [0.0, -1.5, 0.000001, 1.0000005, 1_767_225_600.1234567, 4e9])
def test_the_time_is_the_same_to_the_microsecond(by: Codec, stamp: float) -> None:
    envelope = Envelope("a", 1, "s", stamp)
    assert decode(by.encode(envelope)).time == envelope.time


@both
def test_no_tenant_and_no_mention_of_one_are_the_same_on_the_wire(by: Codec) -> None:
    assert decode(by.encode(Envelope("a", 1, "s", tenant=None))).tenant is None


@both
def test_data_stays_encoded_and_says_how(by: Codec) -> None:
    envelope = decode(by.encode(full()))
    assert isinstance(envelope.data, Raw)
    assert envelope.content_type == f"application/{by.name}"


@both
def test_the_first_byte_decides_where_nobody_says_what_it_is(by: Codec) -> None:
    written = by.encode(full())
    assert decode(written) == decode(written, content_type=by.content_type)


@both
@pytest.mark.parametrize("change", [str.upper, lambda text: text + " ; charset=UTF-8"])
def test_a_content_type_is_read_as_http_reads_it(by: Codec, change: Any) -> None:
    assert decode(by.encode(full()), content_type=change(by.content_type)).id == "id-1"


# --- what cannot be written ----------------------------------------------------------------------


@dataclass
class Line:
    colour: Any


class Basket(msgspec.Struct):
    lines: list[Any]


@both
@pytest.mark.parametrize(
    ("data", "where"),
    [
        (object(), r"\$ \(builtins\.object\)"),
        ({"a": {"b": 1j}}, r"\$\.a\.b \(builtins\.complex\)"),
        (Basket([Line("red"), Line(1j)]), r"\$\.lines\[1\]\.colour \(builtins\.complex\)"),
        ({"a": "\ud800"}, r"\$\.a \(builtins\.str\)"),
        ({1j}, r"\$\[0\] \(builtins\.complex\)"),
    ],
)
def test_data_that_cannot_be_encoded_is_named_with_its_place(
    by: Codec, data: Any, where: str
) -> None:
    with pytest.raises(EncodeError, match=rf"^order\.placed: .* at {where}.* convert the value"):
        by.encode(Envelope("order.placed", data, "shop"))


@both
def test_data_that_contains_itself_is_no_recursion_error(by: Codec) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="nested too deeply, or contains itself"):
        by.encode(Envelope("a", loop, "s"))


@both
def test_data_nested_a_hundred_thousand_deep_is_no_recursion_error(by: Codec) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(EncodeError, match="nested too deeply"):
        by.encode(Envelope("a", deep, "s"))


@both
@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("", 1, "s"),
        Envelope("a", 1, ""),
        Envelope("a", 1, "s", float("nan")),
        Envelope("a", 1, "s", 1e300),
        Envelope("a", 1, "s", subject="\udfff"),
        Envelope("a", 1, "s", schema_version=2**31),
        Envelope("a", 1, "s", headers={"n": 1}),  # type: ignore[dict-item]
        Envelope("a", 1, "s", headers={"n": "\udfff"}),
        Envelope("a", 1, "s", aggregate=("one",)),  # type: ignore[arg-type]
        Envelope("a", Raw(b""), "s"),
        Envelope("a", Raw(b"{"), "s", content_type="application/json"),
    ],
)
def test_attributes_that_cannot_be_written_are_refused(by: Codec, envelope: Envelope) -> None:
    with pytest.raises(EncodeError) as caught:
        by.encode(envelope)
    assert isinstance(caught.value, PublishError)
    with pytest.raises(EncodeError):
        encode_binary(envelope)


def test_encoded_data_cannot_write_attributes() -> None:
    """Bytes given as encoded data are checked before they are laid into the document."""
    evil = Envelope("a", Raw(b'1,"id":"evil"'), "s", given_id="good")
    with pytest.raises(EncodeError, match=r"msgspec\.Raw that is not application/json"):
        JsonCodec().encode(evil)


# --- what others write ---------------------------------------------------------------------------


def test_a_minimal_document_is_enough() -> None:
    before = datetime.now(UTC)
    envelope = decode(document())
    assert (envelope.id, envelope.source, envelope.type) == ("1", "/x", "a.b")
    assert bytes(envelope.data) == b"null"
    assert before <= envelope.time <= datetime.now(UTC)


def test_attributes_we_have_no_field_for_become_headers() -> None:
    envelope = decode(
        document(
            dataschema="https://example.com/s",
            sampledrate=3,
            sure=True,
            nothing=None,
            odd={"a": [1]},
            headers='{"mine":"1","sure":"taken"}',
        )
    )
    assert envelope.headers == {
        "mine": "1",
        "sure": "taken",
        "ce_sure": "true",
        "dataschema": "https://example.com/s",
        "sampledrate": "3",
        "odd": '{"a":[1]}',
    }


@pytest.mark.parametrize("odd", [msgspec.msgpack.Ext(5, b"x"), {(1,): 1}])
def test_an_attribute_json_cannot_say_becomes_a_header_in_base64(odd: Any) -> None:
    minimal = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    envelope = decode(msgspec.msgpack.encode({**minimal, "odd": odd}))
    assert msgspec.msgpack.decode(base64.b64decode(envelope.headers["odd"])) == odd


def test_an_attribute_called_headers_that_is_none_of_ours_is_kept() -> None:
    assert decode(document(headers="plain text")).headers == {"headers": "plain text"}
    assert decode(document(headers=5, x="y")).headers == {"headers": "5", "x": "y"}


def test_numbers_where_we_write_text_are_read_as_text() -> None:
    envelope = decode(document(tenant=7, userid=True, subject=12))
    assert (envelope.tenant, envelope.user, envelope.key) == ("7", "true", "12")


@pytest.mark.parametrize(
    ("given", "version", "headers"),
    [
        (2, 2, {}),
        ("2", 2, {}),
        (None, 1, {}),
        ("2024-06", 1, {"schemaversion": "2024-06"}),
        ("1.2.0", 1, {"schemaversion": "1.2.0"}),
        (2**31, 1, {"schemaversion": "2147483648"}),
    ],
)
def test_a_version_that_is_no_number_of_ours_becomes_a_header(
    given: Any, version: int, headers: dict[str, str]
) -> None:
    envelope = decode(document(schemaversion=given))
    assert (envelope.schema_version, envelope.headers) == (version, headers)


def test_null_is_absent() -> None:
    nulls = b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":null,"time":null}'
    assert decode(nulls).key is None


def test_the_partition_key_is_the_key_where_there_is_no_subject() -> None:
    assert decode(document(partitionkey="p")).key == "p"


def test_a_partition_key_beside_another_subject_is_kept_as_a_header() -> None:
    envelope = decode(document(partitionkey="p", subject="s"))
    assert (envelope.key, envelope.headers) == ("s", {"partitionkey": "p"})


@pytest.mark.parametrize("half", [{"aggregateid": "1"}, {"aggregatetype": "order"}])
def test_half_an_aggregate_is_kept(half: dict[str, str]) -> None:
    expected = (half.get("aggregatetype", ""), half.get("aggregateid", ""))
    envelope = decode(document(**half, x="y"))
    assert envelope.aggregate == expected
    assert decode(JsonCodec().encode(envelope)).aggregate == expected
    assert decode(document(**half)).aggregate == expected


@pytest.mark.parametrize(
    ("attributes", "data", "content_type"),
    [
        ({"data": {"a": 1}}, b'{"a": 1}', "application/json"),
        ({"data": 1, "datacontenttype": "text/json"}, b"1", "text/json"),
        ({"data": 1, "datacontenttype": "application/x+json"}, b"1", "application/x+json"),
        ({"data": "<a/>", "datacontenttype": "text/xml"}, b"<a/>", "text/xml"),
        ({"data_base64": "/w=="}, b"\xff", "application/octet-stream"),
        ({"data_base64": "/w==", "datacontenttype": "image/png"}, b"\xff", "image/png"),
        ({"data_base64": "MQ==", "datacontenttype": "application/json"}, b"1", "application/json"),
        ({"data_base64": "MQ==", "datacontenttype": [None]}, b"1", "[null]"),
        ({"data_base64": "MQ==", "datacontenttype": 5}, b"1", "5"),
    ],
)
def test_data_is_read_as_its_type_says(
    attributes: dict[str, Any], data: bytes, content_type: str
) -> None:
    envelope = decode(document(**attributes))
    assert (bytes(envelope.data), envelope.content_type) == (data, content_type)
    for by in CODECS:
        again = decode(by.encode(envelope))
        assert (bytes(again.data), again.content_type) == (data, content_type)


def test_binary_mode_is_read_as_kafka_and_http_write_it() -> None:
    kafka = {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_source": b"/x",
        "ce_type": b"a.b",
        "ce_subject": "für".encode(),
        "content-type": b"application/json; charset=utf-8",
    }
    http = {
        "CE-SpecVersion": "1.0",
        "CE-Id": "1",
        "CE-Source": "/x",
        "CE-Type": "a.b",
        "CE-Subject": "f%C3%BCr",
        "Content-Type": "application/json; charset=utf-8",
    }
    for headers in (kafka, http):
        envelope = decode_binary(headers, b"{}")
        assert (envelope.id, envelope.key, bytes(envelope.data)) == ("1", "für", b"{}")
        assert envelope.content_type == "application/json; charset=utf-8"
        assert envelope.headers == {}


def binary(**more: str | bytes) -> dict[str, str | bytes]:
    return {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t", **more}


def test_headers_beside_binary_mode_are_kept() -> None:
    headers = binary(ce_colour="red", other="1", raw=b"\xff", traceparent="00-x", tracestate="v=1")
    envelope = decode_binary(headers, b"1")
    assert envelope.headers == {"colour": "red", "other": "1", "raw": "\\xff"}
    assert (envelope.traceparent, envelope.tracestate) == ("00-x", "v=1")


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{}", "application/json"), (b"", "application/json"), (b"\xff", "application/octet-stream")],
)
def test_a_body_of_unknown_type_is_json_where_it_is_json(body: bytes, kind: str) -> None:
    assert decode_binary(binary(), body).content_type == kind


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        (binary(ce_specversion="0.3"), b"{}"),
        (binary(ce_id=""), b"{}"),
        (binary(ce_time="yesterday"), b"{}"),
        (binary(**{"content-type": "application/json"}), b"{"),
        (binary(**{"content-type": "application/msgpack"}), b"\xdd\xff\xff\xff\xff"),
        ({**binary(), "ce-subject": "%ff"}, b"{}"),
    ],
)
def test_binary_mode_that_is_no_event_is_undecodable(
    headers: dict[str, str | bytes], body: bytes
) -> None:
    with pytest.raises(Undecodable):
        decode_binary(headers, body)


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(Undecodable, match="over the limit of 9"):
        decode_binary(binary(), b"x" * 10, max_size=9)
    with pytest.raises(TooLarge, match="over the limit of 9"):
        encode_binary(full(), max_size=9)


def test_the_cloudevents_library_reads_what_we_write() -> None:
    core = pytest.importorskip("cloudevents.core.bindings.http")
    message = pytest.importorskip("cloudevents.core.bindings.http").HTTPMessage
    event = core.from_http_event(
        message(headers={"content-type": JsonCodec.content_type}, body=JsonCodec().encode(full()))
    )
    assert event.get_id() == "id-1"
    assert event.get_type() == "order.placed"
    assert event.get_subject() == "o-1"
    assert event.get_time() == full().time
    assert event.get_data() == DATA
    assert event.get_extension("correlationid") == "corr-1"


# --- what is refused -----------------------------------------------------------------------------

DEEP = 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"text"',
        b"\x00",
        b"\xff\xfe",
        b"\x80",
        b"\xdf\xff\xff\xff\xff",
        b"\xde\xff\xff\xa1a",
        b"\x81\xdb\xff\xff\xff\xffid",
        b"\x81\xa2id\xc6\xff\xff\xff\xff",
        b"\x81\xa4data\xdd\xff\xff\xff\xff",
        b"\x81\xa4data" + b"\x91" * DEEP,
        b"\x81\xa4data" + b"\x91" * DEEP + b"\xc0",
        b"\x81" * DEEP,
        b'{"data":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"unknown":' + b'{"a":' * DEEP,
        b'{"a":' * DEEP,
        document()[:-1],
        document() + b"x",
        document(specversion="0.3"),
        document(specversion=None),
        document(specversion=1.0),
        document(id=None),
        document(id=""),
        document(id=5),
        document(source=None),
        document(source=""),
        document(type=None),
        document(type=""),
        document(type=["a"]),
        document(time="yesterday"),
        document(time=5),
        document(time="2026-01-01T00:00:00"),
        document(time="2026-01-01"),
        document(time="0001-01-01T00:00:00+00:01"),
        document(time="9999-12-31T23:59:59-01:00"),
        document(data_base64="?"),
        document(data_base64=5),
        document(data_base64="e30=", data={}),
        document(data_base64="ew==", datacontenttype="application/json"),
        document(data={}, datacontenttype="text/xml"),
        document(data="{}", datacontenttype="application/msgpack"),
        document(id="1").replace(b'"1"', b'"\xff"'),
        document(id="1").replace(b'"1"', b'"\\ud800"'),
        document(x=1).replace(b": 1", b": NaN"),
        document(x=1).replace(b": 1", b": 1e999"),
        document(x=1).replace(b": 1", b": " + b"1" * 5000),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_bytes_that_are_no_envelope_are_undecodable_and_nothing_else(data: bytes) -> None:
    for content_type in (None, *(by.content_type for by in CODECS)):
        with pytest.raises(Undecodable) as caught:
            decode(data, content_type=content_type)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["text/plain", "application/cloudevents-batch+json", ";", "é"])
def test_a_content_type_of_something_else_is_undecodable(kind: str) -> None:
    with pytest.raises(Undecodable, match="is no single CloudEvents event"):
        decode(document(), content_type=kind)


def test_of_two_equal_names_the_last_counts() -> None:
    twice = document(id="1").replace(b'"id": "1"', b'"id": "0", "id": "2"')
    assert decode(twice).id == "2"
    assert decode(twice.replace(b"}", b', "x": "y"}')).id == "2"


def test_more_bytes_than_the_limit_are_undecodable() -> None:
    data = document()
    assert decode(data, max_size=len(data)).id == "1"
    with pytest.raises(Undecodable, match="over the limit"):
        decode(data, max_size=len(data) - 1)


@pytest.mark.parametrize(
    "claim",
    [
        b"\x81\xa4data\xdd\xff\xff\xff\xff",
        b"\x81\xa4data\xdf\xff\xff\xff\xff",
        b"\x81\xa4data\xc6\xff\xff\xff\xff",
        b"\x81\xa1x\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1x\xdd\xff\xff\xff\xff",
        b"\x81\xa1x" + b"\xdd\x00\xff\xff\xff" * 100,
    ],
)
def test_a_length_that_is_claimed_and_not_there_takes_no_memory(claim: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decode(claim)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_wrapped_data_is_plain_base64_in_json() -> None:
    picture = Envelope("a", Raw(b"\xff\x00"), "s", content_type="image/png")
    written = json.loads(JsonCodec().encode(picture))
    assert base64.b64decode(written["data_base64"]) == b"\xff\x00"
    assert written["datacontenttype"] == "image/png"
    assert "data" not in written
