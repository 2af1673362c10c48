"""The clock that is used when nobody brings another."""

from __future__ import annotations

import time

import anyio
import pytest

from busway._clock import SystemClock
from busway.transport import Clock

pytestmark = pytest.mark.anyio


async def test_it_ends_a_wait_when_the_event_is_set() -> None:
    clock: Clock = SystemClock()
    event = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.wait, event, None)
        await anyio.wait_all_tasks_blocked()
        event.set()
    assert await clock.wait(event, clock.time() + 3600) is True


async def test_it_ends_a_wait_at_its_moment() -> None:
    clock = SystemClock()
    assert await clock.wait(anyio.Event(), clock.time() + 0.01) is False


async def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    assert await SystemClock().wait(anyio.Event(), 0.0) is False


def test_its_time_is_the_machines() -> None:
    before = time.time()
    assert before <= SystemClock().time() <= time.time()
