"""Events of one key are handled one after another; different keys side by side."""

from __future__ import annotations

import anyio
import msgspec

from busway import Bus, event


@event("account.changed", key="account")
class AccountChanged(msgspec.Struct, frozen=True):
    account: str
    step: int


bus = Bus()
steps: dict[str, list[int]] = {"ada": [], "alan": []}
running: set[str] = set()
together = 0


@bus.subscribe(AccountChanged, concurrency=8)
async def apply(change: AccountChanged) -> None:
    global together
    assert change.account not in running, "two changes of one account at once"
    running.add(change.account)
    together = max(together, len(running))
    await anyio.sleep(0.002 * (change.step % 3))  # some take longer than the next
    steps[change.account].append(change.step)
    running.remove(change.account)


async def main() -> None:
    async with bus:
        for step in range(10):
            for account in steps:
                await bus.publish(AccountChanged(account, step))
        await bus.drain()


anyio.run(main)
for account, order in steps.items():
    print(account, order)
print(f"up to {together} accounts at once")
assert steps == {"ada": list(range(10)), "alan": list(range(10))}
assert together == 2
