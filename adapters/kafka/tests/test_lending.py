"""When whoever acknowledges waits for the broker."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from busway_kafka._foreign import reader
from busway_kafka._lending import Lending
from busway_kafka._tenure import Tenure

from .records import owner

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
