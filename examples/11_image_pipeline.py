"""Requested, rendered, stored: three steps that know nothing of each other, and one conversation.

What a handler publishes is a child of what it handles, so every event of one image has the same
correlation id, the progress events, the retried step and the dead letter too.
"""

from __future__ import annotations

from collections import defaultdict

import anyio
import msgspec

from busway import Backoff, Bus, Envelope, Message, Reject, Retry, event


@event("image.requested", key="name")
class Requested(msgspec.Struct, frozen=True):
    name: str
    prompt: str


@event("image.progressed", key="name")
class Progressed(msgspec.Struct, frozen=True):
    name: str
    percent: int


@event("image.rendered", key="name")
class Rendered(msgspec.Struct, frozen=True):
    name: str
    pixels: bytes


@event("image.stored", key="name")
class Stored(msgspec.Struct, frozen=True):
    name: str
    path: str


bus = Bus(service="images", retry=Retry(attempts=3, backoff=Backoff(first=0.01)))
disk: dict[str, bytes] = {}
story: dict[str, list[str]] = defaultdict(list)  # correlation id: topics, in the order seen


@bus.subscribe(Requested, group="renderer", concurrency=4)
async def render(request: Requested, message: Message[Requested]) -> None:
    if not request.prompt:
        raise Reject("nothing to paint")
    for percent in (50, 100):
        await message.publish(Progressed(request.name, percent))
    await message.publish(Rendered(request.name, request.prompt.encode()))


@bus.subscribe(Rendered, group="storage")
async def store(image: Rendered, message: Message[Rendered]) -> None:
    if image.name == "cat" and message.attempt == 1:
        raise OSError("the disk was busy")  # tried again
    disk[f"/{image.name}.png"] = image.pixels
    await message.publish(Stored(image.name, f"/{image.name}.png"))


@bus.subscribe("image.**", group="auditor")
async def audit(envelope: Envelope) -> None:
    story[envelope.correlation_id].append(envelope.type)


async def main() -> None:
    async with bus:
        sent: dict[str, Envelope] = {}
        for name, prompt in {"dog": "a dog", "cat": "a cat", "void": ""}.items():
            sent[name] = await bus.publish(Requested(name, prompt))
        await bus.drain()
        [letter] = await bus.dead_letters("renderer").list()

    for name, envelope in sent.items():
        print(f"{name:5}", " > ".join(story[envelope.correlation_id]))
    print(f"dead: {letter.key}: {letter.reason}")

    steps = ("progressed", "progressed", "rendered", "requested", "stored")
    whole = [f"image.{step}" for step in steps]
    assert sorted(story[sent["dog"].correlation_id]) == whole
    assert sorted(story[sent["cat"].correlation_id]) == whole
    assert story[sent["void"].correlation_id] == ["image.requested"]
    assert letter.envelope is not None
    assert letter.envelope.correlation_id == sent["void"].correlation_id
    assert len(story) == 3
    assert disk == {"/dog.png": b"a dog", "/cat.png": b"a cat"}


anyio.run(main)
