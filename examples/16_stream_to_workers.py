"""A bridge from one stream to the workers of another: ``relay``. It needs a Redis: BUSWAY_URL, or
one on this machine.

The shop keeps its events in one place, the workers theirs in another; here they are two prefixes of
one Redis, and could be two brokers. The bridge carries over what the workers need, and no more. An
event is acknowledged at the shop when the workers' side has it.
"""

from __future__ import annotations

import os
from functools import partial

import anyio
import msgspec

from busway import Bus, Message, event, relay

HERE = os.environ.get("BUSWAY_URL", "redis://localhost:6379")
MARK = "&" if "?" in HERE else "?"
SHOP, WORKERS = f"{HERE}{MARK}prefix=shop", f"{HERE}{MARK}prefix=workers"


@event("image.uploaded", key="image_id")
class ImageUploaded(msgspec.Struct, frozen=True):
    image_id: int


@event("user.renamed", key="user_id")
class UserRenamed(msgspec.Struct, frozen=True):
    user_id: int


async def main() -> None:
    shop, workers = Bus(SHOP, service="shop"), Bus(WORKERS, service="studio")
    made: list[int] = []
    sources: set[str] = set()

    @workers.subscribe("**", group="thumbnails", concurrency=4)
    async def thumbnail(event: object, message: Message[object]) -> None:
        assert isinstance(event, ImageUploaded), "names of users are no business of theirs"
        print(f"thumbnail of image {event.image_id}, uploaded at {message.envelope.source}")
        made.append(event.image_id)
        sources.add(message.envelope.source)

    async with shop:
        await shop.publish(ImageUploaded(1))  # before there is a bridge: it waits at the shop
        await shop.publish(UserRenamed(7))
        async with workers, anyio.create_task_group() as tasks:
            await tasks.start(partial(relay, shop, workers, "image.*", group="to-workers"))
            await shop.publish_many([ImageUploaded(2), ImageUploaded(3)])
            with anyio.fail_after(30):
                while len(made) < 3:
                    await anyio.sleep(0.01)
            await shop.drain()  # the bridge has nothing left
            tasks.cancel_scope.cancel()
    assert sorted(made) == [1, 2, 3]
    assert sources == {"shop"}, "nothing is changed on the way"


anyio.run(main)
