"""A partition has its turn, whatever there is in others."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import anyio.lowlevel
import pytest

from busway_kafka._lending import Lending
from busway_kafka._notes import Note
from busway_kafka._tenure import Tenure
from busway_kafka._wire import Read, read

from .records import owner

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Told:
    """A broker that takes each commit at once."""

    behind = 0.0

    def begin(self, tenures: Iterable[Tenure]) -> None:
        for tenure in tenures:
            tenure.note(handed=tenure.asked)
            tenure.reserved = max(tenure.reserved, tenure.asked)

    async def commit(self, tenures: Iterable[Tenure]) -> None:
        self.begin(tenures)
        await anyio.lowlevel.checkpoint()


def _read(tenure: Tenure, record: Any) -> Read:
    return read(record.key, record.value, record.headers)


async def until_both(quiet: Tenure) -> int:
    """How many of a partition that never ends were handed out before the first of another."""
    busy = owner(0, None, *range(200_000))
    busy.asked = busy.reserved = 200_000
    tenures = {("busy", 0): busy, ("quiet", 0): quiet}
    holdings: Any = SimpleNamespace(tenures=tenures, committer=Told())
    lending = Lending(holdings, lambda *_: None, _read, lambda: None, lambda: time.monotonic() + 60)
    seen = 0
    while True:
        got = await lending.receive(10, 1.0)
        if any(each.receipt[0] is quiet for each in got):
            return seen
        seen += len(got)
        await lending.ack(got)


async def test_a_suspect_has_its_turn_while_others_never_end() -> None:
    assert await until_both(owner(0, Note(1, 1).text(), 0)) < 150_000


async def test_suspects_leave_others_as_much_time_as_they_take() -> None:
    busy = owner(0, None, *range(100_000))
    busy.asked = busy.reserved = 100_000
    quiet = owner(0, Note(1, 50).text(), *range(50))
    holdings: Any = SimpleNamespace(tenures={1: busy, 2: quiet}, committer=Told())
    lending = Lending(holdings, lambda *_: None, _read, lambda: None, lambda: time.monotonic() + 60)
    spent = {True: 0.0, False: 0.0}
    for _ in range(60):
        [delivery, *_] = got = await lending.receive(1, 1.0)
        suspect = delivery.receipt[0] is quiet
        began = time.monotonic()
        await anyio.sleep(0.2 if suspect else 0.02)
        await lending.ack(got)
        spent[suspect] += time.monotonic() - began
    assert spent[True] < 1.5 * spent[False] + 0.2


async def test_what_has_to_be_reserved_first_has_its_turn_while_others_never_end() -> None:
    assert await until_both(owner(0, None, 0)) < 150_000
