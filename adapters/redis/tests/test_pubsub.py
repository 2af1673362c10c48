"""The live transport: what it hears, what it drops, and what it says about both."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from busway import Bus, Envelope, OptionError, TransportError
from busway.codec import JsonCodec
from busway.transport import (
    WRITTEN,
    Address,
    Feed,
    Group,
    NotWritten,
    Outgoing,
    Purpose,
)
from busway_redis import PubSubTransport, _live_feed
from tests.servers import RedisCluster, RedisSentinel, RedisServer

pytestmark = pytest.mark.anyio

PATIENCE = 10.0


def url_of(server: RedisServer) -> str:
    return server.url.replace("redis://", "redis+pubsub://")


def outgoing(number: int, channel: str = "orders") -> Outgoing:
    envelope = Envelope(f"{channel}.placed", number, "test", 1.0)
    return Outgoing(envelope, Address(channel), JsonCodec())


def group(channels: frozenset[str] | None = frozenset({"orders"})) -> Group:
    return Group("g", ("orders.*",), lambda topic: True, channels, durable=False, member="m")


@pytest.fixture
async def transport(redis_server: RedisServer) -> AsyncIterator[PubSubTransport]:
    prefix = f"t{uuid.uuid4().hex[:8]}[*?]"
    async with PubSubTransport(url_of(redis_server), prefix=prefix, buffer=5) as transport:
        yield transport


async def numbers(feed: Feed, last: int) -> list[int]:
    """What comes, up to a number."""
    came: list[int] = []
    with anyio.fail_after(PATIENCE):
        while last not in came:
            got = await feed.receive(100)
            came += [int(bytes(each.content.data)) for each in got]  # type: ignore[union-attr, arg-type]
            await feed.ack(got)
    return came


async def send(transport: PubSubTransport, *numbers: int, channel: str = "orders") -> None:
    items = [outgoing(each, channel) for each in numbers]
    assert await transport.send(items, timeout=PATIENCE) == [WRITTEN] * len(items)


async def test_a_slow_group_loses_the_oldest_and_is_told(
    transport: PubSubTransport, caplog: pytest.LogCaptureFixture
) -> None:
    async with transport.listen(group()) as feed:
        with caplog.at_level(logging.WARNING, "busway.redis"):
            await send(transport, *range(12))
            while transport.report()["missed"] < 7:
                await anyio.sleep(0.001)
            assert await numbers(feed, 11) == [7, 8, 9, 10, 11]
            await send(transport, 12)
            assert await numbers(feed, 12) == [12]
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "group 'g' is too slow",
        "group 'g' has caught up; 7 events were dropped",
    ]
    assert transport.report() == {"gaps": 0, "missed": 7, "waiting": 0}


async def test_what_was_given_back_makes_room_first(transport: PubSubTransport) -> None:
    async with transport.listen(group()) as feed:
        await send(transport, 1, 2)
        held = [await feed.receive(1), await feed.receive(1)]
        await feed.release([*held[1], *held[0]])
        await send(transport, *range(3, 8))
        while transport.report()["missed"] < 2:
            await anyio.sleep(0.001)
        assert await numbers(feed, 7) == [3, 4, 5, 6, 7]


async def test_a_wildcard_hears_every_channel_of_its_prefix_and_no_other(
    transport: PubSubTransport, redis_server: RedisServer
) -> None:
    """Whatever characters are in the prefix: Redis's own globs are not the user's."""
    other = PubSubTransport(url_of(redis_server), prefix=transport.options.prefix[:9] + "*x")
    async with other, transport.listen(group(None)) as feed:
        await send(other, 1)
        await send(transport, 2)
        await send(transport, 3, channel="users.eu")
        got: list[Any] = []
        with anyio.fail_after(PATIENCE):
            while len(got) < 2:
                got += await feed.receive(10)
    assert [each.channel for each in got] == ["orders", "users.eu"]


async def test_a_reply_that_nobody_awaits_is_not_written(transport: PubSubTransport) -> None:
    item = outgoing(1)
    item.address = Address("reply", Purpose.REPLY, "gone")
    (outcome,) = await transport.send([item], timeout=PATIENCE)
    assert isinstance(outcome, NotWritten)
    assert "does not wait for replies any more" in str(outcome.error)


async def test_what_is_published_is_a_cloudevent_that_others_can_read_and_write(
    transport: PubSubTransport, redis_server: RedisServer
) -> None:
    client: Any = Redis(port=redis_server.port)
    name = transport.names.events("orders")
    async with client, client.pubsub() as pubsub, transport.listen(group()) as feed:
        await pubsub.subscribe(name)
        await send(transport, 1)
        with anyio.fail_after(PATIENCE):
            while (message := await pubsub.get_message(timeout=1)) is None or (
                message["type"] != "message"
            ):
                pass
        assert b'"type":"orders.placed"' in message["data"]
        assert await numbers(feed, 1) == [1]
        theirs = b'{"specversion":"1.0","id":"x","source":"s","type":"orders.a","data":2}'
        await client.publish(name, theirs)
        assert await numbers(feed, 2) == [2]


async def test_a_request_is_answered_by_another_process(redis_server: RedisServer) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}"
    shop, prices = (
        Bus(PubSubTransport(url_of(redis_server), prefix=prefix), service=name)
        for name in ("shop", "prices")
    )

    @prices.subscribe("price.asked")
    async def price(item: str) -> int:
        return len(item)

    with anyio.fail_after(PATIENCE):
        async with prices, shop:
            assert await shop.request("price.asked", "tea", returns=int) == 3


async def test_a_broken_connection_is_told_once_and_counted(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with PubSubTransport(url_of(own_redis)) as transport, transport.listen(group()) as feed:
        with caplog.at_level(logging.WARNING, "busway.redis"):
            await anyio.to_thread.run_sync(own_redis.kill)
            with pytest.raises(TransportError, match="connection"):
                with anyio.fail_after(PATIENCE):
                    await feed.receive(1)
            await anyio.to_thread.run_sync(own_redis.start)
            with anyio.fail_after(PATIENCE):
                while len(caplog.messages) < 2:
                    await anyio.sleep(0.01)
            await send(transport, 1)
            with anyio.fail_after(PATIENCE):
                assert await _despite(feed) == 1
    away, back = caplog.messages
    assert "is missed: Connection closed by server" in away
    assert "it is back" in back
    assert transport.report()["gaps"] == 1


async def _despite(feed: Feed) -> int:
    while True:
        try:
            return await _one(feed)
        except TransportError:
            pass


async def _one(feed: Feed) -> int:
    (got,) = await feed.receive(1)
    await feed.ack([got])
    return int(bytes(got.content.data))  # type: ignore[union-attr, arg-type]


async def test_a_server_that_says_nothing_is_left(own_redis: RedisServer) -> None:
    """Nothing comes of a quiet channel either: so it is asked whether it is there."""
    transport = PubSubTransport(url_of(own_redis), timeout=0.4)
    async with transport, transport.listen(group()) as feed:
        await anyio.to_thread.run_sync(own_redis.pause)
        try:
            with pytest.raises(TransportError, match=r"no answer within 0\.4 s"):
                with anyio.fail_after(PATIENCE):
                    await feed.receive(1)
        finally:
            await anyio.to_thread.run_sync(own_redis.resume)
        await until_heard(transport, feed, 1)
    assert transport.report()["gaps"] == 1


async def test_large_events_are_bounded_by_their_bytes(
    transport: PubSubTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_live_feed, "_MOST_BYTES", 3 * len(JsonCodec().encode(content_of(0))))
    async with transport.listen(group()) as feed:
        await send(transport, *range(5))
        with anyio.fail_after(PATIENCE):
            while transport.report()["missed"] < 2:
                await anyio.sleep(0.001)
        assert await numbers(feed, 4) == [2, 3, 4]
        await send(transport, 5, 6, 7)
        assert await numbers(feed, 7) == [5, 6, 7], "what was handed out counts no more"


def content_of(number: int) -> Envelope:
    content = outgoing(number).content
    assert isinstance(content, Envelope)
    return content


async def test_a_user_who_may_not_subscribe_is_told_so_at_once(own_redis: RedisServer) -> None:
    client: Any = Redis(port=own_redis.port)
    async with client:
        rules = ("on", ">pw", "resetchannels", "+@all")
        await client.execute_command("ACL", "SETUSER", "mute", *rules)
    url = url_of(own_redis).replace("://", "://mute:pw@")
    async with PubSubTransport(url) as transport:
        with anyio.fail_after(transport.options.timeout / 2):
            with pytest.raises(TransportError, match="NOPERM"):
                async with transport.listen(group()):
                    pass


async def test_it_is_heard_behind_sentinels_and_again_after_a_failover(
    redis_sentinel: RedisSentinel,
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}"
    url = redis_sentinel.url.replace("sentinel://", "sentinel+pubsub://")
    transport = PubSubTransport(url, prefix=prefix)
    async with transport, transport.listen(group()) as feed:
        await send(transport, 1)
        assert await numbers(feed, 1) == [1]
        await anyio.to_thread.run_sync(redis_sentinel.failover)
        await until_heard(transport, feed, 2)


async def test_what_is_published_at_one_node_of_a_cluster_is_heard_at_any(
    redis_cluster: RedisCluster,
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}"
    url = redis_cluster.url.replace("cluster://", "cluster+pubsub://")
    names = [f"orders{number}" for number in range(12)]  # some for each node
    transport = PubSubTransport(url, prefix=prefix)
    async with transport, transport.listen(group(None)) as feed:
        for number, name in enumerate(names):
            await send(transport, number, channel=name)
        came: set[str] = set()
        with anyio.fail_after(PATIENCE):
            while len(came) < len(names):
                came |= {each.channel for each in await feed.receive(20)}
    assert came == set(names)


async def test_a_request_is_answered_through_a_cluster(redis_cluster: RedisCluster) -> None:
    """Whose node counts its own listeners only."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    url = redis_cluster.url.replace("cluster://", "cluster+pubsub://")
    bus = Bus(PubSubTransport(url, prefix=prefix), service="prices")

    @bus.subscribe("price.asked")
    async def price(item: str) -> int:
        return len(item)

    with anyio.fail_after(PATIENCE):
        async with bus:
            assert await bus.request("price.asked", "tea", returns=int) == 3


async def until_heard(transport: PubSubTransport, feed: Feed, number: int) -> None:
    """Publish until it is heard: what is published while nobody is connected is gone."""
    heard = anyio.Event()

    async def listen() -> None:
        while await _despite(feed) != number:
            pass
        heard.set()

    with anyio.fail_after(3 * PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            while not heard.is_set():
                await transport.send([outgoing(number)], timeout=1.0)
                with anyio.move_on_after(0.05):
                    await heard.wait()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+pubsub://h/2", "pub/sub has no databases. Use prefix="),
        ("redis://h", "stores events: pub/sub is redis"),
        ("redis+pubsub://h?lease=3", "unknown parameter lease="),
    ],
)
def test_what_pubsub_cannot_have_is_refused(url: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        PubSubTransport(url)


def test_a_client_configured_in_code_is_taken_over() -> None:
    transport = PubSubTransport(Redis(host="h", port=7000), buffer=7)
    assert transport.options.pubsub
    assert (str(transport.options.nodes[0]), transport.options.buffer) == ("h:7000", 7)


@pytest.mark.parametrize(
    "scheme", ["redis+pubsub", "rediss+pubsub", "redis+cluster+pubsub", "unix+pubsub"]
)
def test_the_url_opens_it(scheme: str) -> None:
    place = "/run/redis.sock" if scheme.startswith("unix") else "h:7000"
    assert isinstance(Bus(f"{scheme}://{place}", service="s").transport, PubSubTransport)
