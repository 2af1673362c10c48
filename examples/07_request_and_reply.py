"""Ask, and await the answer: what a handler returns goes back to the one who asked."""

from __future__ import annotations

import anyio
import msgspec

from busway import Bus, Reject, RequestFailed, RequestTimeout, event


@event("price.asked", key="item")
class PriceAsked(msgspec.Struct, frozen=True):
    item: str


class Price(msgspec.Struct, frozen=True):
    item: str
    cents: int


bus = Bus()
PRICES = {"tea": 250, "jam": 420}
answers: list[str] = []


@bus.subscribe(PriceAsked)
async def price(asked: PriceAsked) -> Price:
    if asked.item not in PRICES:
        raise Reject(f"we have no {asked.item}")
    return Price(asked.item, PRICES[asked.item])


async def main() -> None:
    async with bus:
        answer = await bus.request(PriceAsked("tea"), returns=Price)
        answers.append(f"{answer.item} costs {answer.cents} cents")

        try:
            await bus.request(PriceAsked("gold"))
        except RequestFailed as failed:  # the handler gave up on it
            answers.append(f"refused: {failed.reason}")

        try:
            await bus.request("price.guessed", {}, timeout=0.05)
        except RequestTimeout:
            answers.append("nobody answers guesses")


anyio.run(main)
print(*answers, sep="\n")
assert answers == [
    "tea costs 250 cents",
    "refused: we have no gold",
    "nobody answers guesses",
]
