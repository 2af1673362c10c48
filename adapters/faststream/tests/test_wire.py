"""What stands on FastStream's wire, read from what clients make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faststream import StreamMessage

from busway import Bus, Message
from busway_faststream._ferry import Ferry, Topics
from busway_faststream._wire import own_headers, parent_of
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
