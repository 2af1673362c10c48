"""Which topics a pattern matches, asked of a bus."""

from __future__ import annotations

import anyio

from busway import Bus, Envelope

TOPICS = ["order", "order.placed", "order.item.added", "order.item.removed", "order:placed"]
EXPECTED = {
    "order.placed": ["order.placed"],
    "order.*": ["order.placed"],  # one segment
    "order.**": ["order", "order.placed", "order.item.added", "order.item.removed"],  # any number
    "order:*": ["order:placed"],  # a separator matches only itself
    "order.item.{added,moved}": ["order.item.added"],
    "**.*ed": ["order.placed", "order.item.added", "order.item.removed"],  # a part of a segment
    "*": TOPICS,  # alone: everything
}

bus = Bus()
got: dict[str, list[str]] = {pattern: [] for pattern in EXPECTED}


def listen(pattern: str, group: str) -> None:
    @bus.subscribe(pattern, group=group)
    async def note(envelope: Envelope) -> None:
        got[pattern].append(envelope.type)


async def main() -> None:
    for number, pattern in enumerate(EXPECTED):
        listen(pattern, group=f"example.{number}")
    async with bus:
        for topic in TOPICS:
            await bus.publish(topic, {})
        await bus.drain()


anyio.run(main)
for pattern, topics in got.items():
    print(f"{pattern:25} {'  '.join(topics)}")
for pattern, topics in EXPECTED.items():  # events without a key are in no order everywhere
    assert sorted(got[pattern]) == sorted(topics)
