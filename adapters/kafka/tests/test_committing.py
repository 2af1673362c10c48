"""Who acknowledges is told in the end, whatever becomes of the member."""

from __future__ import annotations

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
