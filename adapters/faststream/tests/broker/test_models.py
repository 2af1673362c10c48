"""Models of pydantic as events: written and read as the bus does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from busway import Batch, event
from busway_faststream import TestBusBroker
from tests.facts import Seen, letters

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@event("parcel.sent", key="parcel_id")
class Sent(BaseModel):
    parcel_id: str = Field(alias="parcelId")


class Slip(BaseModel):
    parcel_id: str = Field(alias="parcelId")


@dataclass
class Label:
    parcel_id: str = Field(alias="parcelId")


async def test_a_model_is_sent_under_its_aliases(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("parcel.sent")
    async def declared(event: Sent) -> None:
        seen.add(event)

    @broker.subscriber("slip.*")
    async def by_name(event: Slip) -> None:
        seen.add(event)

    async with started(broker):
        envelope = await broker.publish(Sent(parcelId="p-1"))
        await broker.publish(Slip(parcelId="p-2"), "slip.written")
        await seen.count(2)
    assert envelope.key == "p-1"
    assert {each.parcel_id for each in seen.items} == {"p-1", "p-2"}


async def test_a_dataclass_of_pydantics_is_too(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("label.*")
    async def read(event: Label) -> None:
        seen.add(event)

    @broker.subscriber("label.*")
    async def plain(event: dict[str, Any]) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(Label(parcelId="p-1"), "label.written")
        await seen.count(2)
    assert Label(parcelId="p-1") in seen.items
    assert {"parcelId": "p-1"} in seen.items


async def test_a_reply_and_a_result_are_too(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("slip.asked")
    @broker.publisher("slip.answered")
    async def answer(event: str) -> Slip:
        return Slip(parcelId=event)

    @broker.subscriber("slip.answered")
    async def note(event: Slip) -> None:
        seen.add(event.parcel_id)

    async with started(broker):
        reply = await broker.bus.request("slip.asked", "p-1", returns=Slip, timeout=5)
        asked = await broker.request("p-2", "slip.asked", timeout=5)
        assert await asked.decode() == {"parcelId": "p-2"}
        await seen.count(2)
    assert reply == Slip(parcelId="p-1")
    assert sorted(seen.items) == ["p-1", "p-2"]


class Strict(BaseModel):
    """Takes a moment of JSON's, and of Python no text for one."""

    model_config = ConfigDict(strict=True)

    at: datetime


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


KINDS = pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Strict, Strict(at=NOON)),
        (Strict | None, Strict(at=NOON)),
        (list[Strict], [Strict(at=NOON)]),
        (dict[str, Strict], {"a": Strict(at=NOON)}),
    ],
    ids=str,
)


@KINDS
async def test_a_strict_model_is_read_as_it_was_written(url: str, kind: Any, sent: Any) -> None:
    seen, broker = Seen(), broker_on(url)
    broker.subscriber("moment.*")(taking(kind, seen))
    async with started(broker):
        await broker.publish(sent, "moment.noted")
        await broker.bus.publish("moment.noted", sent)
    assert seen.items == [sent, sent]


@KINDS
async def test_so_it_is_in_tests(kind: Any, sent: Any) -> None:
    seen, broker = Seen(), broker_on()
    broker.subscriber("moment.*")(taking(kind, seen))
    async with TestBusBroker(broker):
        await broker.publish(sent, "moment.noted")
    assert seen.items == [sent]


async def test_a_batch_of_strict_models_is_too(url: str) -> None:
    seen, broker = Seen(), broker_on(url)
    broker.subscriber("moment.*", group="store", batch=Batch(3, within=0.01))(
        taking(list[Strict], seen)
    )
    async with started(broker):
        await broker.publish_batch(
            Strict(at=NOON), {"at": "late"}, Strict(at=NOON), topic="moment.noted"
        )
        await letters(broker.bus, "store", 1)
        await broker.bus.drain()
    assert [each for batch in seen.items for each in batch] == [Strict(at=NOON)] * 2


def taking(kind: Any, seen: Seen) -> Any:
    async def handle(event: Any) -> None:
        seen.add(event)

    handle.__annotations__ = {"event": kind}
    return handle
