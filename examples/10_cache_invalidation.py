"""Every process has a cache; ``broadcast`` tells each of them what went stale.

Two buses over one transport stand for two processes. Over a broker they would be two processes
with the same URL.
"""

from __future__ import annotations

import anyio
import msgspec

from busway import Bus, event
from busway.memory import MemoryTransport


@event("user.renamed", key="user_id")
class UserRenamed(msgspec.Struct, frozen=True):
    user_id: int
    name: str


table = {7: "Ada"}  # the database that both processes share


class Process:
    def __init__(self, name: str, transport: MemoryTransport) -> None:
        self.name = name
        self.cache: dict[int, str] = {}
        self.mailed: list[int] = []
        self.bus = Bus(transport, service="web")
        self.bus.add(self.forget, UserRenamed, broadcast=True)  # in every process
        self.bus.add(self.mail, UserRenamed, group="mail")  # in one of them

    def user(self, user_id: int) -> str:
        return self.cache.setdefault(user_id, table[user_id])

    async def forget(self, renamed: UserRenamed) -> None:
        print(f"{self.name} forgets user {renamed.user_id}")
        self.cache.pop(renamed.user_id, None)

    async def mail(self, renamed: UserRenamed) -> None:
        print(f"{self.name} mails user {renamed.user_id}")
        self.mailed.append(renamed.user_id)


async def main() -> None:
    transport = MemoryTransport()
    one, two = Process("one", transport), Process("two", transport)
    async with one.bus, two.bus:
        assert one.user(7) == two.user(7) == "Ada"
        table[7] = "Countess"
        assert one.user(7) == two.user(7) == "Ada"  # both are stale
        await one.bus.publish(UserRenamed(7, "Countess"))
        await one.bus.drain()
        await two.bus.drain()
        assert one.user(7) == two.user(7) == "Countess"
    assert one.mailed + two.mailed == [7]


anyio.run(main)
