"""A member comes and goes, whatever became of the others."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from busway import TransportError
from busway.transport import Address, Group
from busway_kafka._assigning import Claim
from busway_kafka._client import Client
from busway_kafka._coordinating import described
from busway_kafka._errors import Refused
from busway_kafka._feed import KafkaFeed
from busway_kafka._membership import Membership
from busway_kafka._options import Options
from busway_kafka._transport import KafkaTransport
from busway_kafka._url import parse

from .kafka_world import world

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def catalogue(group: str) -> Any:
    """Of a group that has nothing to read."""
    return SimpleNamespace(kafka_id=group, topics=list, group=SimpleNamespace(durable=True))


GROUP = Group("billing", ("order",), lambda _: True, frozenset({"order"}))


async def test_who_joins_while_a_dead_one_is_still_a_member_waits_for_its_lease_and_raises_nothing(
    kafka_url: str,
) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", lease="3s", timeout="900ms")
    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        async with KafkaTransport(options) as dead, dead.listen(GROUP) as feed:
            assert isinstance(feed, KafkaFeed)
            await feed.receive(1)
            await feed.die()
            async with KafkaTransport(options) as living:
                with anyio.fail_after(options.timeout + 1):
                    listening = living.listen(GROUP)
                    second = await listening.__aenter__()
                try:
                    with anyio.fail_after(20):
                        (delivery,) = await second.receive(1)
                        await second.ack([delivery])
                finally:
                    await listening.__aexit__(None, None, None)


async def test_a_channel_of_which_who_deals_out_hears_last_is_dealt_out_when_it_has_heard(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", metadata_age="200ms")
    refresh, share = Client.refresh, Membership._share
    asked, sharing = 0, set[Any]()

    async def shares(self: Membership, *said: Any) -> bool:
        sharing.add(asyncio.current_task())
        return await share(self, *said)

    async def hears_late(self: Client) -> None:
        nonlocal asked
        await refresh(self)
        if asyncio.current_task() in sharing and asked < 4:
            asked += 1
            for topic in [each for each in self.leaders if each.startswith(f"{prefix}order")]:
                del self.leaders[topic]

    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        monkeypatch.setattr(Membership, "_share", shares)
        monkeypatch.setattr(Client, "refresh", hears_late)
        async with KafkaTransport(options) as transport, transport.listen(GROUP) as feed:
            with anyio.fail_after(10):
                (delivery,) = await feed.receive(1)
            await feed.ack([delivery])
    assert asked == 4


async def test_who_leaves_before_it_was_let_in_is_no_member_for_whom_others_would_wait(
    kafka_url: str,
) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", lease="10s", timeout="1s")
    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        kafka_id = here.names.group(GROUP.name)
        async with KafkaTransport(options) as dead, dead.listen(GROUP) as feed:
            assert isinstance(feed, KafkaFeed)
            await feed.receive(1)
            await feed.die()
            async with KafkaTransport(options) as living:
                async with living.listen(GROUP):
                    assert (await described(here.client, kafka_id)).members == 2
                assert (await described(here.client, kafka_id)).members == 1


class Told:
    """A coordinator that lets one in, and answers its first heartbeat with this."""

    timeout = 1.0

    def __init__(self, code: int) -> None:
        self.code = code
        self.joined_as: list[str] = []

    async def coordinator(self, group: str) -> int:
        return 1

    def moved(self, group: str) -> None:
        pass

    async def ask(self, node: int, request: Any, **_: Any) -> Any:
        if isinstance(request, HeartbeatRequest):
            code, self.code = self.code, 0
            return SimpleNamespace(error_code=code)
        if isinstance(request, SyncGroupRequest):
            return SimpleNamespace(error_code=0, member_assignment=b"")
        self.joined_as.append(request._member_id)
        return SimpleNamespace(
            error_code=0, member_id="me", generation_id=1, leader_id="other", members=[]
        )


@pytest.mark.parametrize(("code", "expelled"), [(27, False), (22, False), (25, True)])
async def test_only_whom_the_broker_does_not_know_joins_as_another(
    code: int, expelled: bool
) -> None:
    """When the answer to joining got lost the group is a generation further than its member."""
    said: Any = Told(code)
    lost: list[bool] = []
    holder: Any = SimpleNamespace(
        claim=Claim,
        topics=list,
        given=nothing,
        alive=lambda _: None,
        expelled=lambda: lost.append(True),
    )
    member = Membership(said, Options(lease=1.0), catalogue("g"), "lane", holder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.run)
        while len(said.joined_as) < 2:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert said.joined_as == ["", "" if expelled else "me"]
    assert lost == [True] * expelled


async def nothing(*_: Any) -> None:
    pass


class Coordinator:
    """Gives a name to who joins, once the gate is open, and hears who leaves."""

    timeout = 1.0

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.asked = anyio.Event()
        self.left: list[str] = []

    async def coordinator(self, group: str) -> int:
        return 1

    async def ask(self, node: int, request: Any, **_: Any) -> Any:
        if isinstance(request, LeaveGroupRequest):
            self.left.append(request._member_id)
            return SimpleNamespace(error_code=0)
        self.asked.set()
        await self.gate.wait()
        return SimpleNamespace(error_code=79, member_id="me")


async def test_who_leaves_while_the_broker_gives_it_a_name_leaves_by_that_name() -> None:
    said: Any = Coordinator()
    holder: Any = SimpleNamespace(claim=Claim, topics=list)
    member = Membership(said, Options(), catalogue("g"), "lane", holder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.run)
        await said.asked.wait()
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.leave)
        await anyio.lowlevel.checkpoint()
        assert said.left == []
        said.gate.set()
    assert said.left == ["me"]


async def test_who_handles_what_is_not_told_wrongly_while_the_group_is_dealt_out(
    kafka_url: str,
) -> None:
    """What others handle would be taken for what nobody handles, and be acknowledged."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", lease="3s", timeout="900ms")
    paying = Group("billing", ("order.paid",), lambda _: True, frozenset({"order"}), member="two")
    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        async with (
            KafkaTransport(options) as transport,
            transport.listen(GROUP) as dead,
            transport.listen(paying),
        ):
            assert isinstance(dead, KafkaFeed)
            await dead.die()
            unknown: list[str] = []
            # Kafka waits for the dead one, for as long as its lease.
            async with transport.listen(msgspec.structs.replace(GROUP, member="three")):
                with anyio.fail_after(20):
                    while True:
                        try:
                            told = await transport.announce(GROUP)
                        except TransportError as error:
                            unknown.append(str(error))
                        else:
                            assert told["two"] == ("order.paid",)
                            break
    assert unknown
    assert all("is being dealt out" in each for each in unknown)


def test_who_is_put_out_by_somebody_who_came_by_makes_way_for_one_lease_and_not_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And of two that stay, each for twice as long each time, up to ten leases."""
    now = 1_000.0
    monkeypatch.setattr("busway_kafka._membership.time.monotonic", lambda: now)
    options = parse("kafka://localhost", instance="one", lease="10s")
    holder: Any = SimpleNamespace(expelled=lambda: None)
    client: Any = Told(0)
    member = Membership(client, options, catalogue("billing"), "lane", holder)

    def put_out_after(seconds: float) -> float:
        nonlocal now
        member.generation, member._joined_at = 1, now
        now += seconds
        member._answered = now
        member.expelled()
        return member._rest

    assert [put_out_after(600) for _ in range(3)] == [10, 10, 10]
    assert [put_out_after(10) for _ in range(5)] == [20, 40, 80, 100, 100]
    assert put_out_after(600) == 10


async def test_who_is_not_let_in_again_is_told_so_by_receive(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dealt to it any more: no reading could tell."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", metadata_age="100ms")

    async def refused(*_: object) -> bool:
        raise Refused(30, "joining group 'billing'")

    async with KafkaTransport(options) as transport, transport.listen(GROUP) as feed:
        monkeypatch.setattr(Membership, "_heartbeat", refused)
        monkeypatch.setattr(Membership, "_join", refused)
        with anyio.fail_after(10):
            with pytest.raises(TransportError, match="grant this user the group"):
                await feed.receive(1)
