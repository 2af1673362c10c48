"""What a bus tells of its events, and models of pydantic as events."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

from busway import Bus, Message, event

__all__ = ["Parcel", "a_bus_describes_its_events", "a_model_is_typed"]


@event("parcel.sent", key="parcel_id")
class Parcel(BaseModel):
    parcel_id: str


bus = Bus("memory://", service="shop")


@bus.subscribe(Parcel)
async def send(parcel: Parcel, message: Message[Parcel]) -> None:
    assert_type(message.data, Parcel)


async def a_model_is_typed() -> None:
    assert_type(Parcel(parcel_id="p"), Parcel)
    assert_type(await bus.request(Parcel(parcel_id="p"), returns=Parcel), Parcel)


def a_bus_describes_its_events() -> None:
    assert_type(bus.schemas(), dict[str, dict[str, Any]])
    assert_type(bus.schemas("parcel.*", Parcel), dict[str, dict[str, Any]])
    bus.schemas(1)  # type: ignore[arg-type]
    assert_type(bus.asyncapi(), dict[str, Any])
    assert_type(
        bus.asyncapi(title="Shop", version="2", description="Sells.", sends=["a.*", Parcel]),
        dict[str, Any],
    )
    bus.asyncapi("Shop")  # type: ignore[call-arg]
    bus.asyncapi(sends=1)  # type: ignore[arg-type]
