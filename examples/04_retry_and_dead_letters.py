"""What fails is tried again; what keeps failing is set aside, and given again once it is mended."""

from __future__ import annotations

import anyio
import msgspec

from busway import Backoff, Bus, Message, Reject, Retry, event


@event("mail.requested", key="to")
class MailRequested(msgspec.Struct, frozen=True):
    to: str


bus = Bus(retry=Retry(attempts=3, backoff=Backoff(first=0.01)))
post_office_open = False
sent: list[str] = []


@bus.subscribe("mail.requested", group="post")
async def send(mail: MailRequested, message: Message[MailRequested]) -> None:
    print(f"attempt {message.attempt} for {mail.to}")
    if "@" not in mail.to:
        raise Reject("that is no address")  # no use in trying again
    if mail.to.startswith("slow") and message.attempt < 2:
        raise TimeoutError("no answer")
    if mail.to.startswith("far") and not post_office_open:
        raise ConnectionError("the post office is closed")
    sent.append(mail.to)


async def main() -> None:
    global post_office_open
    async with bus:
        dead = bus.dead_letters("post")
        for address in ("ada@here", "slow@here", "far@away", "nonsense"):
            await bus.publish(MailRequested(address))
        await bus.drain()
        assert sorted(sent) == ["ada@here", "slow@here"]

        letters = {letter.key: letter for letter in await dead.list()}
        for key, letter in letters.items():
            print(f"dead: {key} after {letter.attempts} attempts: {letter.kind}: {letter.reason}")
        assert letters["far@away"].attempts == 3
        assert letters["nonsense"].attempts == 1

        post_office_open = True
        await dead.replay(kind="ConnectionError")
        await bus.drain()
        assert sorted(sent) == ["ada@here", "far@away", "slow@here"]

        await dead.discard(letters["nonsense"].id)
        assert await dead.list() == []


anyio.run(main)
print("sent:", *sorted(sent))
