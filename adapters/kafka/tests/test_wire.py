"""A record says all that was sent, others read it, and what nobody can read stops nothing."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from hypothesis import given
from hypothesis import strategies as st

from busway import Envelope
from busway.codec import JsonCodec, MsgpackCodec
from busway.errors import EncodeError, TooLarge
from busway.transport import Address, Outgoing, Raw, Story
from busway_kafka._wire import Read, read, written

Mode = Literal["structured", "binary"]
MODES: tuple[Mode, ...] = ("structured", "binary")

OURS = [("content-type", b"application/cloudevents+json; charset=utf-8")]

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
maybe = st.none() | words
stories = st.builds(
    Story,
    words,
    st.text(max_size=5),
    st.integers(0, 99),
    st.none() | st.floats(0, 4e9),
    kind=st.text(max_size=8),
    reason=st.text(max_size=40),
    traceback=st.text(max_size=40),
)
envelopes = st.builds(
    Envelope,
    words,
    st.dictionaries(words, st.integers() | words | st.none(), max_size=3),
    words,
    st.integers(0, 4_000_000_000).map(float),
    maybe,
    words,
    maybe,
    maybe,
    maybe,
    st.integers(1, 9),
    tenant=maybe,
    headers=st.dictionaries(words, st.text(max_size=8), max_size=3),
)
waits = st.none() | st.floats(0, 1e11)


def event(**changes: Any) -> Envelope:
    made = Envelope("order.placed", {"id": 7}, "shop", 1.5e9, "o-1", "id-1", "corr-1")
    return msgspec.structs.replace(made, **changes)


def outgoing(content: Envelope | Raw, *beside: Any, codec: Any = None) -> Outgoing:
    return Outgoing(content, Address("order"), codec or JsonCodec(), *beside)


def again(item: Outgoing, mode: Mode = "structured") -> Read:
    return read(*written(item, mode))


def same(found: Envelope | Raw, sent: Envelope) -> bool:
    assert isinstance(found, Envelope)
    data = json.loads(bytes(found.data))
    left = msgspec.structs.replace(found, data=data, content_type=None, headers=dict(found.headers))
    return left == msgspec.structs.replace(sent, headers=dict(sent.headers))


# --- there and back -----------------------------------------------------------------------------


@given(envelopes, st.sampled_from(MODES), st.integers(1, 99), waits, st.none() | stories)
def test_an_event_comes_back_with_what_stands_beside_it(
    sent: Envelope, mode: Mode, attempt: int, due: float | None, story: Story | None
) -> None:
    found = again(outgoing(sent, attempt, due, story), mode)
    assert same(found.content, sent)
    assert (found.attempt, found.due, found.story) == (attempt, due, story)


HEADERS = [
    "content-type",
    "busway-attempt",
    "busway-raw",
    "busway-raw.x",
    "ce_specversion",
    "ce_id",
]


@given(
    st.binary(max_size=30),
    maybe,
    st.dictionaries(words | st.sampled_from(HEADERS), st.text(max_size=8), max_size=4),
    st.text(max_size=20),
    st.integers(1, 9),
    st.none() | stories,
    st.sampled_from(MODES),
)
def test_raw_bytes_come_back_with_their_headers(
    data: bytes,
    kind: str | None,
    headers: dict[str, str],
    reason: str,
    attempt: int,
    story: Story | None,
    mode: Mode,
) -> None:
    raw = Raw(data, kind, headers, reason)
    found = again(outgoing(raw, attempt, None, story), mode)
    assert found == Read(raw, attempt, None, story)


@pytest.mark.parametrize("mode", MODES)
def test_data_that_is_encoded_already_is_written_as_it_is(mode: Mode) -> None:
    sent = event(data=msgspec.Raw(b"\x00\xff"), content_type="application/x-mine")
    found = again(outgoing(sent), mode).content
    assert isinstance(found, Envelope)
    assert (bytes(found.data), found.content_type) == (b"\x00\xff", "application/x-mine")


def test_messagepack_is_read_as_it_was_written() -> None:
    found = again(outgoing(event(), codec=MsgpackCodec())).content
    assert isinstance(found, Envelope)
    assert found.content_type == "application/msgpack"
    assert msgspec.msgpack.decode(found.data) == {"id": 7}


# --- what is written ----------------------------------------------------------------------------


def test_a_new_event_has_its_key_one_document_and_one_header() -> None:
    key, value, headers = written(outgoing(event()))
    assert (key, value) == (b"o-1", JsonCodec().encode(event()))
    assert headers == [("content-type", b"application/cloudevents+json; charset=utf-8")]


def test_an_event_without_a_key_has_none() -> None:
    for mode in MODES:
        assert written(outgoing(event(subject=None)), mode)[0] is None


def test_binary_mode_has_the_data_in_the_value_and_the_attributes_in_headers() -> None:
    key, value, headers = written(outgoing(event()), "binary")
    assert (key, value) == (b"o-1", b'{"id":7}')
    named = dict(headers)
    assert named["ce_type"] == b"order.placed"
    assert named["ce_partitionkey"] == b"o-1"
    assert named["content-type"] == b"application/json"
    assert not [name for name in named if name.startswith("busway-")]


def test_only_what_differs_from_a_first_delivery_is_written_beside() -> None:
    item = outgoing(event(), 3, 1_800_000_000.25, Story("billing", "charge", 2))
    assert dict(written(item)[2][1:]) == {
        "busway-attempt": b"3",
        "busway-due": b"1800000000.25",
        "busway-story": b'{"group":"billing","handler":"charge","attempts":2}',
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_encoders_refusals_pass(mode: Mode) -> None:
    with pytest.raises(EncodeError):
        written(outgoing(event(data=object())), mode)
    with pytest.raises(EncodeError):
        written(outgoing(event(subject="\udc80")), mode)
    with pytest.raises(TooLarge):
        written(outgoing(event(data="x" * 2_000), codec=JsonCodec(1_000)), mode)


# --- others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_cloudevents_library_reads_what_we_write(mode: Mode) -> None:
    key, value, headers = written(outgoing(event(), 2, 5.0, Story("g")), mode)
    assert value is not None
    found = from_kafka_event(KafkaMessage(dict(headers), key, value))
    assert (found.get_id(), found.get_type(), found.get_source()) == (
        "id-1",
        "order.placed",
        "shop",
    )
    assert (found.get_subject(), found.get_time()) == ("o-1", event().time)
    assert found.get_data() == {"id": 7}
    assert found.get_extension("correlationid") == "corr-1"
    assert found.get_extension("partitionkey") == "o-1"


def foreign(**attributes: Any) -> bytes:
    base = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    return json.dumps(base | attributes).encode()


def test_a_document_of_another_program_is_read_whatever_its_content_type_is_called() -> None:
    for headers in (
        [],
        [("content-type", b"application/cloudevents+json")],
        [("Content-Type", b"application/cloudevents+json; charset=UTF-8")],
        [("content-type", b"application/json")],
        (("content-type", b"application/cloudevents+json; charset=utf-8"),),
    ):
        found = read(None, foreign(), headers).content
        assert isinstance(found, Envelope), headers
        assert found.type == "t"


def test_the_records_key_counts_where_the_event_names_none() -> None:
    for headers in ([], OURS):
        for attributes, key in (({}, "k"), ({"subject": "s"}, "s"), ({"partitionkey": "p"}, "p")):
            found = read(b"k", foreign(**attributes), headers).content
            assert isinstance(found, Envelope)
            assert found.key == key
            assert not found.headers
    found = read(b"\xff", foreign(), OURS).content
    assert isinstance(found, Envelope)
    assert found.key == "\\xff"


def test_headers_beside_a_document_are_kept_and_its_own_count_before_them() -> None:
    headers = [
        ("content-type", b"application/cloudevents+json"),
        ("ce_id", b"other"),
        ("a", b"1"),
        ("a", b"2"),
        ("b", None),
        ("traceparent", b"00-1"),
        ("mine", b"theirs"),
    ]
    found = read(None, foreign(headers='{"mine":"ours"}'), headers).content
    assert isinstance(found, Envelope)
    assert (found.id, found.traceparent) == ("1", "00-1")
    assert found.headers == {"a": "1, 2", "b": "", "mine": "ours"}


def test_binary_mode_of_another_program_is_read() -> None:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"s"),
        ("ce_type", b"t"),
        ("ce_subject", None),
        ("content-type", b"text/plain"),
        ("x", b"\xff"),
    ]
    found = read(b"k", None, headers).content
    assert isinstance(found, Envelope)
    assert (bytes(found.data), found.content_type) == (b"", "text/plain")
    assert found.headers == {"x": "\\xff"}


# --- what cannot be read ------------------------------------------------------------------------


@given(
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=30),
    st.lists(
        st.tuples(
            st.sampled_from([*HEADERS, "busway-due", "busway-story", "ce_time"]) | words,
            st.none() | st.binary(max_size=9) | st.sampled_from([b"1.0", b"1", b"nan", b"{}"]),
        ),
        max_size=6,
    ),
)
def test_no_record_raises(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    found = read(key, value, headers)
    assert found.attempt >= 1
    if isinstance(found.content, Raw):
        assert found.content.data == (value or b"")
        # It is set aside, and must come back from there as it is.
        kept = outgoing(found.content, found.attempt, found.due, found.story)
        assert again(kept) == found
    else:
        json.dumps(found.content.key)


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (None, [], "no value"),
        (b"hello", [], "no CloudEvents"),
        (
            b"{}",
            [("content-type", b"application/cloudevents+json; charset=utf-8")],
            "no CloudEvents",
        ),
        (b"[]", [("content-type", b"application/cloudevents-batch+json")], "content type"),
        (b"x", [("content-type", b"text/plain")], "content type"),
        (b"{}", [("ce_specversion", b"0.3")], "no CloudEvents"),
        (foreign(), [("busway-attempt", b"two")], "beside the event"),
        (foreign(), [("busway-attempt", b"0")], "beside the event"),
        (foreign(), [("busway-due", b"nan")], "beside the event"),
        (foreign(), [("busway-story", b"[]")], "beside the event"),
    ],
)
def test_what_is_no_event_comes_raw_and_says_why(
    value: bytes | None, headers: list[tuple[str, bytes]], reason: str
) -> None:
    found = read(b"k", value, headers).content
    assert isinstance(found, Raw)
    assert found.data == (value or b"")
    assert reason in found.reason


def test_a_foreign_message_keeps_its_content_type_and_its_headers() -> None:
    headers = [
        ("content-type", b"text/csv"),
        ("row", b"1"),
        ("row", b"2"),
        ("busway-attempt", b"2"),
    ]
    found = read(None, b"a,b", headers)
    assert isinstance(found.content, Raw)
    assert (found.content.content_type, found.content.headers) == ("text/csv", {"row": "1, 2"})
    assert found.attempt == 2
