"""Who acknowledges is told in the end, whatever becomes of the member."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import TransportError
from busway.transport import Address
from busway_kafka._committing import Committer
from busway_kafka._notes import Note
from busway_kafka._tenure import Tenure

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Silent:
    """A broker that answers nothing."""

    timeout = 60.0

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def coordinator(self, group: str) -> int:
        return 1

    async def ask(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        await anyio.sleep_forever()

    def moved(self, group: str) -> None:
        pass


async def test_who_waits_for_a_commit_is_told_when_the_group_is_left_meanwhile() -> None:
    client: Any = Silent()
    committer = Committer(client, "billing", lambda: (1, "me"), lambda: None)
    tenure = Tenure("order", 0, Address("order"), 1, 0, Note(1))

    async def waits() -> None:
        with pytest.raises(TransportError, match="was left"):
            await committer.commit([tenure])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits)
            await client.asked.wait()
            await committer.close()


class Answers:
    """A broker that answers commits with these codes, one after another."""

    timeout = 5.0

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.moves = 0

    async def coordinator(self, group: str) -> int:
        return 1

    async def ask(self, node: int, request: Any, **_: Any) -> Any:
        code = self.codes.pop(0)
        return SimpleNamespace(topics=[("order", [(0, code)])])

    def moved(self, group: str) -> None:
        self.moves += 1


@pytest.mark.parametrize(("code", "expelled"), [(22, []), (27, []), (25, ["me"])])
async def test_only_whom_the_broker_does_not_know_has_lost_what_it_had(
    code: int, expelled: list[str]
) -> None:
    """A commit of the generation before is one of a member that is about to hear of the next."""
    client: Any = Answers(code, 0)
    lost: list[str] = []
    committer = Committer(client, "billing", lambda: (1, "me"), lambda: lost.append("me"))
    tenure = Tenure("order", 0, Address("order"), 1, 0, Note(1))
    await committer.commit([tenure])
    assert lost == expelled
    await committer.close()


@pytest.mark.parametrize("code", [14, 15, 16], ids=["it loads", "it has none", "it is another"])
async def test_a_coordinator_that_is_not_ready_is_looked_for_and_asked_until_it_is(
    code: int,
) -> None:
    """Who becomes one reads all that groups have committed before it answers."""
    client: Any = Answers(*[code] * 5, 0)
    committer = Committer(client, "billing", lambda: (1, "me"), pytest.fail)
    tenure = Tenure("order", 0, Address("order"), 1, 0, Note(1))
    with anyio.fail_after(10):
        await committer.commit([tenure])
    assert (client.moves, client.codes) == (5, [])
    await committer.close()


async def test_a_coordinator_that_is_never_ready_is_told_in_time_and_asked_again() -> None:
    client: Any = Answers(*[14] * 10_000)
    client.timeout = 0.2
    committer = Committer(client, "billing", lambda: (1, "me"), pytest.fail)
    tenure = Tenure("order", 0, Address("order"), 1, 0, Note(1))
    with anyio.fail_after(10):
        with pytest.raises(TransportError, match="took no commit"):
            await committer.commit([tenure])
        asked = len(client.codes)
        client.codes[:] = [0]
        await committer.commit([tenure])
    assert asked < 10_000 - 1
    await committer.close()
