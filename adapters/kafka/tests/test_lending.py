"""What is lent together, and when whoever acknowledges it waits for the broker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Envelope, TransportError
from busway.codec import JsonCodec
from busway.transport import Address, Fresh, Outgoing, Raw
from busway_kafka._foreign import reader
from busway_kafka._lending import Lending
from busway_kafka._tenure import Tenure
from busway_kafka._wire import written

from .records import Fetched, owner

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Committer:
    """Notes what it is asked to tell."""

    def __init__(self) -> None:
        self.behind = 0.0
        self.waited = 0
        self.told: list[Tenure] = []

    async def commit(self, tenures: Iterable[Tenure]) -> None:
        self.waited += 1
        self.begin(tenures)

    def begin(self, tenures: Iterable[Tenure]) -> None:
        self.told.extend(tenures)


def lending(committer: Committer, tenure: Tenure) -> Lending:
    tenure.reserved = 1_000
    holdings: Any = SimpleNamespace(tenures={("flights", 0): tenure}, committer=committer)
    return Lending(holdings, lambda *_: None, reader(None), lambda: None, lambda: 0.0)


async def one(lending: Lending) -> None:
    await lending.ack(await lending.receive(1, 1.0))


async def test_who_acknowledges_waits_where_nothing_else_is_to_do() -> None:
    committer = Committer()
    await one(lending(committer, owner(0, None, 0)))
    assert committer.waited == 1


async def test_who_acknowledges_does_not_wait_where_more_is_at_hand() -> None:
    committer = Committer()
    await one(lending(committer, tenure := owner(0, None, 0, 1)))
    assert committer.waited == 0
    assert committer.told == [tenure]


async def test_who_acknowledges_does_not_wait_where_much_came_just_before() -> None:
    committer, tenure = Committer(), owner()
    lent = lending(committer, tenure)
    for number in range(100):
        tenure.add(owner(number, None, number).fetched, number + 1)
        await one(lent)
    assert committer.waited == 31
    assert len(committer.told) == 100


async def test_who_acknowledges_waits_where_the_broker_has_not_heard_for_long() -> None:
    committer, tenure = Committer(), owner(0, None, *range(100))
    committer.behind = 1.0
    lent = lending(committer, tenure)
    for _ in range(100):
        await one(lent)
    assert committer.waited == 100


def record(number: int, **beside: Any) -> Fetched:
    """As we write it."""
    replies = beside.pop("reply_to", None)
    event = Envelope("flight.left", number, "shop", 1.5e9, "k", reply_to=replies)
    key, value, headers = written(Outgoing(event, Address("flights"), JsonCodec(), **beside))
    return Fetched(number, 0, key, value, headers)  # type: ignore[arg-type]


def many(count: int) -> Tenure:
    tenure = owner()
    tenure.add([record(number) for number in range(count)], count)
    return tenure


ODD = {
    "a retry": record(20, attempt=2),
    "a request": record(20, reply_to="shop.replies"),
    "what nobody can read": Fetched(20, value=b"?"),
}


async def test_many_simply_new_ones_are_lent_as_a_run_under_the_loan_of_their_partition() -> None:
    lent = lending(Committer(), tenure := many(100))
    run = await lent.receive(60, 1.0)
    assert type(run) is Fresh
    assert len(run) == 60
    assert (run.loan, list(run.made)) == (tenure.loan, [])
    assert run[7].receipt == (tenure, 7)
    assert run[7].loan is tenure.loan
    assert run[7].channel == "flights"


async def test_a_run_is_acknowledged_as_a_whole() -> None:
    lent = lending(committer := Committer(), tenure := many(100))
    run = await lent.receive(60, 1.0)
    assert await lent.ack(run) == 0
    assert (tenure.position, tenure.lent) == (60, 0)
    assert committer.told == [tenure]


async def test_what_was_looked_at_in_a_run_ends_by_itself() -> None:
    lent = lending(Committer(), tenure := many(100))
    run = await lent.receive(60, 1.0)
    await lent.ack(run[:3])
    assert tenure.position == 3
    await lent.ack([run[4]])
    await lent.release(run[3:4] + run[5:])
    assert (tenure.position, tenure.lent) == (3, 0)
    again = await lent.receive(60, 1.0)
    assert [each.receipt[1] for each in again][:3] == [3, 5, 6]


async def test_an_ended_partitions_run_is_lost_as_a_whole() -> None:
    lent = lending(Committer(), tenure := many(100))
    run = await lent.receive(60, 1.0)
    tenure.end_it()
    assert await lent.ack(run) == 60
    assert await lent.ack(run) == 0, "each counts once"


@pytest.mark.parametrize("odd", ["a retry", "a request", "what nobody can read"])
async def test_where_one_has_more_to_say_all_are_lent_one_by_one(odd: str) -> None:
    tenure = many(30)
    tenure.fetched[20] = ODD[odd]
    lent = lending(Committer(), tenure)
    found = await lent.receive(60, 1.0)
    assert type(found) is list
    assert [each.receipt[1] for each in found] == list(range(30))
    one = found[20]
    said = {
        "a retry": one.attempt == 2,
        "a request": isinstance(one.content, Envelope) and one.content.reply_to == "shop.replies",
        "what nobody can read": isinstance(one.content, Raw),
    }
    assert said[odd]


async def test_what_an_earlier_owner_may_have_had_is_no_run() -> None:
    tenure = many(100)
    tenure.suspect_below = 5
    lent = lending(Committer(), tenure)
    (suspect,) = await lent.receive(60, 1.0)
    assert suspect.receipt[1] == 0
    with anyio.move_on_after(0.1) as scope:
        await lent.receive(60, 1.0)
    assert scope.cancelled_caught, "nothing else goes out before it is over"


async def test_what_has_just_gone_wrong_is_not_told_of_however_long_nothing_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Patience counts from when it began to be wrong."""
    now, told = [100.0], list[str]()
    clock = SimpleNamespace(time=time.time, monotonic=lambda: now[0])
    monkeypatch.setattr("busway_kafka._lending.time", clock)
    lent = lending(Committer(), owner())

    async def wait() -> None:
        with pytest.raises(TransportError) as error:
            await lent.receive(1, 5.0)
        told.append(str(error.value))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            now[0] = 200.0
            lent.broken(TransportError("away"), 1)
            await anyio.wait_all_tasks_blocked()
            assert not told
            now[0] = 205.0
            lent.broken(TransportError("still away"), 1)
    assert told == ["still away"]


async def test_what_has_been_wrong_for_long_enough_is_told_though_nobody_says_it_again() -> None:
    lent = lending(Committer(), owner())
    lent.broken(TransportError("away"), 1)
    with anyio.fail_after(10), pytest.raises(TransportError, match="away"):
        await lent.receive(1, 0.1)


async def test_what_is_well_elsewhere_does_not_hide_what_is_wrong() -> None:
    """Of several brokers one may answer each time in between."""
    lent = lending(Committer(), owner())
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def answers() -> None:
                while True:
                    lent.broken(None, "another")
                    lent.broken(TransportError("away"), "one")
                    await anyio.lowlevel.checkpoint()

            tasks.start_soon(answers)
            with pytest.raises(TransportError, match="away"):
                await lent.receive(1, 0.1)
            tasks.cancel_scope.cancel()
