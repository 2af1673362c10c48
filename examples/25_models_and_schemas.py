"""Pydantic models as events, their JSON Schema, and the AsyncAPI document of the bus."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Literal

import anyio
from pydantic import BaseModel, ConfigDict, Field

from busway import Bus, InvalidEvent, event


class Card(BaseModel):
    kind: Literal["card"] = "card"
    last_digits: str = Field(alias="lastDigits", pattern=r"^\d{4}$")


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    iban: str


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@event("purchase.made", key="purchase_id", version=2)
class PurchaseMade(BaseModel):
    model_config = ConfigDict(frozen=True)

    purchase_id: str = Field(alias="purchaseId")
    total: Decimal
    made_at: datetime
    payment: Card | Transfer = Field(discriminator="kind")
    sizes: set[Size] = set()


bus = Bus("memory://", service="shop")
seen: list[PurchaseMade] = []


@bus.subscribe("purchase.*", group="billing", concurrency=4)
async def charge(purchase: PurchaseMade) -> None:
    print(f"charging {purchase.total} for {purchase.purchase_id} by {purchase.payment.kind}")
    seen.append(purchase)


async def main() -> None:
    purchase = PurchaseMade(
        purchaseId="p-1",
        total=Decimal("9.90"),
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        payment=Card(lastDigits="4242"),
        sizes={Size.SMALL},
    )
    async with bus:
        await bus.publish(purchase)
        try:
            await bus.publish("purchase.made", {"purchaseId": "p-2", "payment": {"kind": "cash"}})
        except InvalidEvent as error:
            print(f"not sent: {error}")
        await bus.drain()
    assert seen == [purchase]


anyio.run(main)

schema = bus.schemas(PurchaseMade)["purchase.made"]
print(f"a purchase has {', '.join(schema['properties'])}, in version {schema['x-schemaversion']}")
assert schema["required"] == ["purchaseId", "total", "made_at", "payment"]

document = bus.asyncapi(title="Shop", version="1.2.0", sends=[PurchaseMade])
for name, operation in document["operations"].items():
    print(f"{name}: {operation['summary']}")
assert document["operations"]["receive.billing.charge"]["x-busway"]["group"] == "billing"
assert json.loads(json.dumps(document)) == document
