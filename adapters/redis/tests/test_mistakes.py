"""What a new user does: a message says what is wrong, and what is there is handled."""

from __future__ import annotations

import traceback
import uuid
from typing import Any

import anyio
import pytest

from busway import Bus, TransportError, UsageError
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 15.0
GROUPS = ("one", "two")


def url_on(server: RedisServer) -> tuple[str, str]:
    """One with keys of its own, and how they begin."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    return f"{server.url}?prefix={prefix}&lease=10s", prefix


@pytest.mark.parametrize("pattern", ["**", "order.*"])
async def test_drain_waits_for_channels_that_the_group_has_not_found_yet(
    redis_server: RedisServer, pattern: str
) -> None:
    url, _ = url_on(redis_server)
    bus = Bus(url, service="shop")
    seen: list[tuple[str, int]] = []

    def counting(group: str) -> Any:
        async def count(number: int) -> None:
            seen.append((group, number))

        return count

    for group in GROUPS:
        bus.add(counting(group), pattern, group=group)
    async with bus:
        for number in range(20):
            await bus.publish("order.placed", number)
        await bus.drain(timeout=PATIENCE)
        assert sorted(seen) == [(group, number) for group in GROUPS for number in range(20)]


@pytest.mark.parametrize("what", ["a wrong password", "nobody there", "no cluster there"])
async def test_a_bus_that_cannot_be_started_says_why_once_and_last(
    redis_server: RedisServer, what: str
) -> None:
    redis_server.command("ACL", "SETUSER", "mistaken", "on", ">secret", "~*", "&*", "+@all")
    url, said = {
        "a wrong password": (redis_server.url.replace("//", "//mistaken:wrong@"), "WRONGPASS"),
        "nobody there": ("redis://127.0.0.1:1?timeout=0.3", "Connection refused"),
        "no cluster there": ("redis+cluster://127.0.0.1:1?timeout=0.3", "Connection refused"),
    }[what]
    with pytest.raises(TransportError) as caught:
        async with Bus(url, service="shop", publish_only=True):
            raise AssertionError("it was started")
    printed = "".join(traceback.format_exception(caught.value))
    assert printed.count("Traceback") == 1
    assert printed.count(said) == 1
    assert said in printed.rstrip().splitlines()[-1]
    assert len(printed.splitlines()) < 20


@pytest.mark.parametrize("scheme", ["redis", "redis+pubsub"])
def test_on_trio_a_sentence_says_which_event_loop_it_takes(scheme: str) -> None:
    async def start() -> None:
        await Bus(f"{scheme}://localhost:1", service="shop", publish_only=True).start()

    with pytest.raises(UsageError, match=r"asyncio\.run\(\)"):
        anyio.run(start, backend="trio")


@pytest.mark.parametrize("key", ["{order}", "{order}:retry:billing", "{reply:billing}"])
async def test_what_is_in_the_way_of_a_group_is_named(redis_server: RedisServer, key: str) -> None:
    url, prefix = url_on(redis_server)
    redis_server.command("SET", f"{prefix}:{key}", "not ours")
    bus = Bus(url, service="shop")
    bus.add(print, "order.*", group="billing")
    with pytest.raises(TransportError, match="WRONGTYPE") as caught:
        await bus.start()
    assert f"({prefix}:{key}). Something else is stored" in str(caught.value)
