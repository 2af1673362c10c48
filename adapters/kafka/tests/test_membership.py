"""Being a member: on Kafka itself, and where a broker says what it seldom says."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Bus, Message, TransportError
from busway.transport import Group
from busway_kafka import KafkaTransport, open_kafka
from busway_kafka import _holdings as holdings_module
from busway_kafka._assigning import Claim
from busway_kafka._catalogue import Catalogue
from busway_kafka._committing import Committer
from busway_kafka._holdings import Holdings
from busway_kafka._lending import _BEHIND
from busway_kafka._membership import Membership
from busway_kafka._murmur import partition_of
from busway_kafka._names import Names
from busway_kafka._url import parse
from tests.servers import KafkaServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 40.0
UNKNOWN_MEMBER = 25


def key_of(partition: int, width: int, than: str = "k") -> str:
    """A key that lies there."""
    names = (f"{than}{n}" for n in range(10_000))
    return next(each for each in names if partition_of(each.encode(), width) == partition)


def opened(url: str, prefix: str, **own: Any) -> KafkaTransport:
    own = {"lease": "6s", "metadata_age": "300ms", "drain": "20s"} | own
    return open_kafka(url, prefix=prefix, **own)


def events_of(transport: KafkaTransport) -> set[int]:
    """The partitions of the channel `order` that a process has."""
    return {each.partition for each in transport.partitions() if each.topic.endswith(".order")}


async def until(fact: Any) -> None:
    while not fact():
        await anyio.sleep(0.01)


async def test_while_what_moves_is_drained_all_else_goes_on(kafka_url: str) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    first = opened(kafka_url, prefix, partitions=4)
    go_on = anyio.Event()
    begun: set[int] = set()
    done: list[int] = []

    def bus_on(transport: KafkaTransport) -> Bus:
        bus = Bus(transport, service="shop")

        @bus.subscribe("order.*", group="billing", concurrency=16)
        async def charge(order: int) -> None:
            if order < 4:
                begun.add(order)
                await go_on.wait()
            done.append(order)

        return bus

    with anyio.fail_after(PATIENCE):
        async with bus_on(first) as bus:
            for number in range(4):
                await bus.publish("order.placed", number, key=key_of(number, 4))
            await until(lambda: len(begun) == 4)
            second = opened(kafka_url, prefix, partitions=4)
            async with bus_on(second):
                (feed,) = first.feeds
                await until(lambda: len([t for t in feed.holdings.tenures.values() if t.leaving]))
                leaving = {t.number for t in feed.holdings.tenures.values() if t.leaving}
                stays = set(range(4)) - leaving
                assert stays, "it keeps some"
                for number in stays:
                    key = key_of(number, 4, than="other")
                    await bus.publish("order.placed", 100 + number, key=key)
                await until(lambda: {100 + number for number in stays} <= set(done))
                assert not go_on.is_set()
                assert events_of(second) == set(), "what moves was not let go of before its end"
                go_on.set()
                await until(lambda: events_of(second) == leaving)
    assert sorted(done) == sorted([*range(4), *(100 + number for number in stays)])


async def test_a_name_of_its_own_keeps_its_partitions_over_a_restart(kafka_url: str) -> None:
    """As long as the lease lasts, and nobody else has to do anything."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    seen: dict[str, list[int]] = {"a": [], "b": []}

    def member(name: str) -> tuple[KafkaTransport, Bus]:
        transport = opened(kafka_url, prefix, partitions=4, instance=name, lease="20s")
        bus = Bus(transport, service="shop")

        async def charge(order: int) -> None:
            seen[name].append(order)

        bus.add(charge, "order.*", group="billing")
        return transport, bus

    with anyio.fail_after(PATIENCE):
        here, bus = member("a")
        there, other = member("b")
        async with other:
            await other.publish("order.placed", 0)
            await bus.start()
            await until(lambda: len(events_of(here)) == len(events_of(there)) == 2)
            mine, theirs = events_of(here), events_of(there)
            rebalances = there.report()["rebalances"]
            await bus.stop()
            # Nobody gets what comes meanwhile: it waits for the one whose it is.
            for number in mine:
                await other.publish("order.placed", 10 + number, key=key_of(number, 4))
            for number in theirs:
                await other.publish("order.placed", 20 + number, key=key_of(number, 4))
            await until(lambda: {20 + number for number in theirs} <= set(seen["b"]))
            assert there.report()["rebalances"] == rebalances
            assert events_of(there) == theirs
            again, bus = member("a")
            async with bus:
                await until(lambda: {10 + number for number in mine} <= set(seen["a"]))
                assert events_of(again) == mine
            assert not {10 + number for number in mine} & set(seen["b"])


async def test_who_stops_amid_a_hand_over_makes_no_suspects(kafka_url: str) -> None:
    """What was given back in good order is handed out as if nobody had had it."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    begun, seen = set[int](), dict[int, int]()

    async def stall(order: int) -> None:
        begun.add(order)
        await anyio.sleep_forever()

    async def note(order: int, message: Message[int]) -> None:
        seen[order] = message._lent.delivered

    with anyio.fail_after(PATIENCE):
        first, second = (opened(kafka_url, prefix, partitions=2, lease="9s") for _ in range(2))
        leaves, stays = Bus(first, service="shop"), Bus(second, service="shop")
        leaves.add(stall, "order.*", group="billing", concurrency=8)
        stays.add(note, "order.*", group="billing", concurrency=4)
        await leaves.start()
        for number in range(2):
            await leaves.publish("order.placed", number, key=key_of(number, 2))
        await until(lambda: begun == {0, 1})
        (feed,) = first.feeds
        async with stays:
            await until(lambda: any(t.leaving for t in feed.holdings.tenures.values()))
            await leaves.stop(grace=0.2)
            await until(lambda: len(seen) == 2)
    assert seen == {0: 1, 1: 1}


async def test_an_acknowledgement_waits_when_the_broker_is_more_than_a_moment_behind(
    own_kafka: KafkaServer,
) -> None:
    transport = opened(own_kafka.url, "t.", partitions=1, lease="4s")
    with anyio.fail_after(PATIENCE):
        async with transport:
            bus = Bus(transport, service="shop", publish_only=True)
            async with bus:
                await bus.publish_many([bus.envelope("order.placed", n) for n in range(200)])
            group = Group("billing", ("order.*",), lambda topic: True)
            async with transport.listen(group) as feed:
                held = [(await feed.receive(1))[0] for _ in range(100)]
                await anyio.to_thread.run_sync(own_kafka.pause)
                try:
                    began = time.monotonic()
                    early: list[Any] = []

                    async def acknowledge_all() -> None:
                        for delivery in held:
                            await feed.ack([delivery])
                            early.append(delivery)
                            await anyio.sleep(0.01)

                    with pytest.raises(TransportError):
                        await acknowledge_all()
                    assert early, "telling goes on beside handling"
                    # What was acknowledged and not told: no more than fits into this.
                    assert len(early) * 0.01 < 3 * _BEHIND
                    assert time.monotonic() - began > _BEHIND
                finally:
                    await anyio.to_thread.run_sync(own_kafka.resume)


# --- without a broker -----------------------------------------------------------------------------


class Puzzled:
    """A broker that knows nobody."""

    timeout = 1.0
    joins = 0

    async def coordinator(self, group: str) -> int:
        return 1

    def moved(self, group: str) -> None: ...

    async def ask(self, *_: Any, **__: Any) -> Any:
        self.joins += 1
        await anyio.lowlevel.checkpoint()
        return SimpleNamespace(error_code=UNKNOWN_MEMBER, member_id="")


class Nothing:
    """What a member has that was given nothing."""

    def claim(self) -> Claim:
        return Claim()

    def heard(self, generation: int) -> None: ...

    def expelled(self) -> None: ...


async def test_who_is_not_let_in_asks_again_after_a_pause_that_grows() -> None:
    client: Any = Puzzled()
    holder: Any = Nothing()
    catalogue: Any = SimpleNamespace(
        kafka_id="billing", topics=list, group=SimpleNamespace(durable=True)
    )
    member = Membership(client, parse("kafka://h"), catalogue, "group 1", holder)
    with anyio.move_on_after(1.0):
        await member.run()
    # At once twice, then after 0.05, 0.1, 0.2 and 0.5 s.
    assert 4 <= client.joins <= 7


class Led:
    """What is known of one topic."""

    def __init__(self, names: Names) -> None:
        self.leaders = {names.topic(holdings_module.Address("order")): {0: 1, 1: 1}}

    def partitions(self, topic: str) -> int:
        return len(self.leaders.get(topic, ()))


@pytest.mark.parametrize("what", ["a later generation", "somebody else's", "in time"])
async def test_what_was_asked_for_another_tenure_begins_none(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    names = Names("t.")
    client: Any = Led(names)
    group = Group("billing", ("order.*",), lambda topic: True)
    options = parse("kafka://h")
    catalogue = Catalogue(client, options, names, group)
    holdings = Holdings(client, options, names, catalogue, lambda: None)

    async def commit(tenures: Any) -> None: ...

    committer: Any = SimpleNamespace(commit=commit)
    holdings.committer = committer
    catalogue.look()

    async def committed(*_: Any) -> dict[Any, Any]:
        if what == "a later generation":
            holdings.generation += 1
        elif what == "somebody else's":
            holdings.units.pop(("order", 1))
        return {}

    monkeypatch.setattr(holdings_module, "committed", committed)
    holdings.generation = 5
    holdings.units = {("order", 0): 5, ("order", 1): 5}
    holdings.alive(100.0)
    await holdings.open()
    # As long as the broker agreed, and not for ever.
    assert {t.loan.until for t in holdings.tenures.values()} <= {100.0 + options.lease}
    begun = {number for _, number in holdings.tenures}
    assert begun == {"a later generation": set(), "somebody else's": {0}, "in time": {0, 1}}[what]


async def test_who_stops_amid_a_hand_over_keeps_what_it_lets_go_of_until_all_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Joining again without it would give it to another before the last commit."""
    names = Names("t.")
    client: Any = Led(names)
    options = parse("kafka://h")
    catalogue = Catalogue(client, options, names, Group("billing", ("order.*",), lambda _: True))
    holdings = Holdings(client, options, names, catalogue, lambda: None)
    catalogue.look()
    told: list[object] = []

    async def commit(tenures: Any) -> None:
        told.append({tenure.number for tenure in tenures if tenure.topic != names.meta})

    async def committed(*_: Any) -> dict[Any, Any]:
        return {}

    committer: Any = SimpleNamespace(commit=commit)
    holdings.committer = committer
    holdings.join_again = lambda: told.append("joins again")
    monkeypatch.setattr(holdings_module, "committed", committed)
    await holdings.given([("order", 0), ("order", 1)], 5, 0.0)
    holdings.tenures[names.topic(holdings_module.Address("order")), 1].loan.running += 1
    told.clear()
    await holdings.given([("order", 0)], 6, 0.0)
    await anyio.wait_all_tasks_blocked()
    told.clear()
    await holdings.close()
    assert told == [{0, 1}]


async def test_a_committer_that_was_told_nothing_is_not_behind() -> None:
    client: Any = SimpleNamespace(timeout=1.0)
    assert Committer(client, "billing", lambda: (1, "me"), lambda: None).behind == 0.0
