"""Events are typed: msgspec structs, dataclasses, attrs classes, TypedDicts, or checked dicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import anyio
import msgspec

from busway import Bus, InvalidEvent, event


@event("user.joined", key="name")
class Joined(msgspec.Struct, frozen=True):
    name: str
    age: int


@event("user.renamed", key="old")
@dataclass(frozen=True)
class Renamed:
    old: str
    new: str


@event("user.left", key="name")
class Left(TypedDict):
    name: str


bus = Bus()
log: list[str] = []


@bus.subscribe(Joined)  # by class is the same as by its topic
async def welcome(user: Joined) -> None:
    log.append(f"welcome {user.name}")


@bus.subscribe("user.{joined,renamed}")  # several kinds in one handler: a union
async def index(user: Joined | Renamed) -> None:
    log.append(f"index {user.name if isinstance(user, Joined) else user.new}")


@bus.subscribe("user.left")
async def forget(user: Left) -> None:
    log.append(f"forget {user['name']}")


async def main() -> None:
    async with bus:
        await bus.publish(Joined("ada", 36))
        await bus.publish(Renamed(old="ada", new="countess"))
        await bus.publish("user.left", {"name": "countess"})
        await bus.publish("user.joined", {"name": "alan", "age": 41})  # arrives as Joined
        try:
            await bus.publish("user.joined", {"name": "alan", "age": "old"})
        except InvalidEvent as error:
            print(f"not sent: {error}")
            log.append("refused")
        await bus.drain()


anyio.run(main)
print(*sorted(log), sep="\n")
assert sorted(log) == [
    "forget countess",
    "index ada",
    "index alan",
    "index countess",
    "refused",
    "welcome ada",
    "welcome alan",
]
