"""What stands on FastStream's wire, read from what clients make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faststream import StreamMessage

from busway import Bus, Message
from busway_faststream._ferry import Ferry, Topics
from busway_faststream._wire import attributes_of, own_headers, parent_of
from tests.facts import Seen

__all__: list[str] = []


def test_headers_that_are_bytes_are_text() -> None:
    assert own_headers({b"who": "Zürich".encode(), "tier": b"gold", "count": 3}) == {
        "who": "Zürich", "tier": "gold", "count": "3",
    }  # fmt: skip


def test_a_header_that_is_no_text_is_still_told() -> None:
    """Another client may put anything there; a message is not lost for it."""
    assert own_headers({"blob": b"\xff\x00a"}) == {"blob": "\ufffd\x00a"}


def test_attributes_that_are_bytes_are_text() -> None:
    headers = {"ce_type": b"order.placed", "ce_tenant": "Zürich".encode(), "tracestate": b"a=\xff"}
    parent = parent_of(StreamMessage({"channel": "orders"}, b"", headers=headers))
    assert (parent.topic, parent.tenant, parent.tracestate) == (
        "order.placed",
        "Zürich",
        "a=\ufffd",
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"ce_time": "yesterday"},
        {"ce_time": "2020-01-01T00:00:00"},
        {"ce_time": "0001-01-01T00:00:00+10:00"},
        {"ce_schemaversion": "1.2.0"},
        {"ce_schemaversion": str(2**31)},
        {"ce_time": 5, "ce_schemaversion": ["3"]},
    ],
    ids=str,
)
def test_attributes_that_cannot_be_read_are_left_out(headers: dict[str, Any]) -> None:
    """A message is not lost for what somebody else wrote there."""
    assert attributes_of({**headers, "ce_id": "e-1"}) == {"id": "e-1", "causation_id": None}


@pytest.mark.parametrize("ref", ["aggregate", "resource"])
def test_a_reference_of_which_one_half_is_there_is_read(ref: str) -> None:
    assert attributes_of({f"ce_{ref}id": "o-1"})[ref] == ("", "o-1")
    assert attributes_of({f"ce_{ref}type": "order"})[ref] == ("order", "")


@pytest.mark.anyio
async def test_a_message_whose_attributes_are_bytes_is_mirrored_as_its_event() -> None:
    headers = {"ce_type": b"order.placed", "ce_subject": "Zürich".encode(), "tracestate": b"a=\xff"}
    message = StreamMessage({"channel": "orders"}, b"1", headers=headers)
    message.set_decoder(decode_message)
    bus, found = Bus(service="shop"), Seen()

    @bus.subscribe("order.placed")
    async def note(data: Any, message: Message[Any]) -> None:
        found.add((data, message.key, message.envelope.tracestate))

    async with bus:
        assert await Ferry(bus, Topics(None), patience=1).bring(message)
        await bus.drain(timeout=5)
    assert found.items == [(1, "Zürich", "a=\ufffd")]


async def decode_message(message: StreamMessage[Any]) -> Any:
    return json.loads(message.body)
