"""What an envelope and a message hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from busway import Envelope, Message, PublishOptions

__all__ = ["a_message_has_the_type_of_its_event", "an_envelope_is_typed", "options_are_checked"]


def an_envelope_is_typed(envelope: Envelope) -> None:
    assert_type(envelope.id, str)
    assert_type(envelope.topic, str)
    assert_type(envelope.key, str | None)
    assert_type(envelope.time, datetime)
    assert_type(envelope.timestamp, float)
    assert_type(envelope.correlation_id, str)
    assert_type(envelope.causation_id, str | None)
    assert_type(envelope.aggregate, tuple[str, str] | None)
    assert_type(envelope.headers, Mapping[str, str])
    assert_type(envelope.data, Any)


def an_envelope_is_never_changed(envelope: Envelope) -> None:
    envelope.type = "order.paid"  # type: ignore[misc]
    envelope.id = "1"  # type: ignore[misc]


async def a_message_has_the_type_of_its_event(message: Message[int]) -> None:
    assert_type(message.data, int)
    assert_type(message.attempt, int)
    assert_type(message.lost, bool)
    assert_type(message.group, str)
    assert_type(message.child("order.paid", {"total": 1}), Envelope)
    assert_type(await message.publish("order.paid", {"total": 1}, key="o-1"), Envelope)
    message.child("order.paid", colour="red")  # type: ignore[call-arg]
    message.child("order.paid", key=1)  # type: ignore[arg-type]


def options_are_checked() -> None:
    options: PublishOptions = {"tenant": None, "delay": timedelta(hours=1)}
    options["delay"] = 5.0
    options["delay"] = datetime.now(UTC)
    options["delay"] = "tomorrow"  # type: ignore[typeddict-item]
    options["id"] = None  # type: ignore[typeddict-item]
