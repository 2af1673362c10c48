"""How far a group is, asked of a coordinator that has to find out itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from busway import TransportError
from busway_kafka._offsets import LATEST, committed, offsets_at
from busway_kafka._reading import ends_of

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Loading:
    """A coordinator that answers with an error so often, and then with an offset."""

    timeout = 5.0

    def __init__(self, code: int, times: int) -> None:
        self.code, self.times = code, times
        self.moves = 0

    async def coordinator(self, group: str) -> int:
        return 1

    async def ask(self, node: int, request: Any, **_: Any) -> Any:
        if self.moves < self.times:
            return SimpleNamespace(error_code=self.code, topics=[])
        return SimpleNamespace(error_code=0, topics=[("order", [(0, 7, "note", 0)])])

    def moved(self, group: str) -> None:
        self.moves += 1


@pytest.mark.parametrize("code", [14, 15, 16], ids=["it loads", "it has none", "it is another"])
async def test_how_far_a_group_is_is_asked_until_the_coordinator_knows(code: int) -> None:
    client: Any = Loading(code, 4)
    with anyio.fail_after(10):
        assert await committed(client, "billing", {"order": [0]}) == {("order", 0): (7, "note")}


async def test_a_coordinator_that_never_knows_is_an_error_in_time() -> None:
    """And no beginning at nothing, which would handle all of it again."""
    client: Any = Loading(14, 10_000)
    client.timeout = 0.2
    with anyio.fail_after(10), pytest.raises(TransportError, match="error 14"):
        await committed(client, "billing", {"order": [0]})


class Unled:
    """A partition whose leader is known after so many looks."""

    timeout = 5.0

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def partitions(self, topic: str) -> int:
        return 1

    def leader(self, topic: str, number: int) -> int | None:
        return None if self.looks > 0 else 1

    async def refresh(self) -> None:
        self.looks -= 1

    async def ask(self, node: int, request: Any, **_: Any) -> Any:
        return SimpleNamespace(topics=[("order", [(0, 0, -1, 7)])])


async def test_where_a_partition_ends_is_asked_when_it_has_a_leader_again() -> None:
    """Brokers that were away for a moment name none at first."""
    client: Any = Unled(5)
    with anyio.fail_after(10):
        assert await offsets_at(client, {"order": [0]}, LATEST) == {("order", 0): 7}


async def test_a_partition_that_gets_no_leader_is_an_error_in_time() -> None:
    client: Any = Unled(10_000)
    client.timeout = 0.2
    with anyio.fail_after(10), pytest.raises(TransportError, match="partition 0 of 'order'"):
        await offsets_at(client, {"order": [0]}, LATEST)


async def test_a_partition_without_a_leader_is_told_before_the_time_for_all_is_over() -> None:
    """Whoever asks for several things at once has one time for all of them, and would else hear
    that Kafka did not answer."""
    client: Any = Unled(10_000)
    client.timeout = 1.0
    with anyio.fail_after(0.95), pytest.raises(TransportError, match="partition 0 of 'order'"):
        await ends_of(client, ["order"])
