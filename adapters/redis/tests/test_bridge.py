"""Events carried from Redis to this process and back."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from busway import Bus, Envelope, relay
from busway.testing import Flaky
from busway_redis import open_redis
from tests.facts import PATIENCE, Seen, up
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return f"{redis_server.url}?prefix=t{uuid.uuid4().hex[:8]}&lease=2s"


@asynccontextmanager
async def relaying(*args: Any, group: str) -> AsyncGenerator[None]:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(relay, *args, group=group))
            yield
            tasks.cancel_scope.cancel()


def seeing(bus: Bus) -> Seen:
    seen = Seen()

    async def see(envelope: Envelope) -> None:
        seen.add(envelope)

    bus.add(see, "**", group="see")
    return seen


async def test_one_place_has_one_name_by_every_url_and_another_prefix_is_another(url: str) -> None:
    here, same = open_redis(url), open_redis(f"{url}&timeout=0.3s")
    other = open_redis(url.replace("prefix=t", "prefix=u"))
    async with here, same, other:
        assert await here.location() == await same.location()
        assert await here.location() != await other.location()


async def test_out_and_back_keeps_what_an_event_is_and_ends(url: str) -> None:
    redis, local = Bus(url, service="shop"), Bus(service="shop")
    there, here = seeing(redis), seeing(local)
    async with (
        up(redis),
        up(local),
        relaying(local, redis, "**", group="out"),
        relaying(redis, local, "**", group="back"),
    ):
        sent = [
            await local.publish("order.placed", n, key=f"k{n % 3}", headers={"shop": "a"})
            for n in range(30)
        ]
        back = await redis.publish("order.paid", {"total": 1}, key="k")
        await there.count(31)
        await here.count(31)
        with anyio.fail_after(PATIENCE):
            while redis.stats().dropped < 30 or local.stats().dropped < 1:
                await anyio.sleep(0.005)
    assert len(there.items) == len(here.items) == 31
    came = {each.id: each for each in there.items}
    for each in sent:
        assert came[each.id].key == each.key
        assert came[each.id].time == each.time
        assert came[each.id].headers["shop"] == "a"
    for key in ("k0", "k1", "k2"):
        order = [each.id for each in there.items if each.key == key]
        assert order == [each.id for each in sent if each.key == key]
    assert [e.id for e in here.items if e.type == "order.paid"] == [back.id]


async def test_what_a_target_that_is_away_does_not_take_stays_in_redis(url: str) -> None:
    away = Flaky(Bus().transport)
    redis, local = Bus(url, service="shop"), Bus(away, service="shop")
    seen = seeing(local)
    async with up(redis), up(local):
        away.fail("send", times=math.inf)
        async with relaying(redis, local, "order.*", group="back"):
            for n in range(10):
                await redis.publish("order.placed", n, key="k")
            with anyio.fail_after(PATIENCE):
                while not away.calls["send"]:
                    await anyio.sleep(0.005)
        away.heal()
        async with relaying(redis, local, "order.*", group="back"):
            await seen.count(10)
        assert redis.stats().dead == 0
    assert [bytes(each.data) for each in seen.items] == [str(n).encode() for n in range(10)]
