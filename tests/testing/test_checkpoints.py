"""The driver that cancels a call at each of its checkpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from busway.testing._checkpoints import cancelled_at_every_checkpoint

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio


async def _three_steps(log: list[int]) -> str:
    log.append(0)
    await anyio.lowlevel.checkpoint()
    log.append(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.lowlevel.checkpoint)
    log.append(2)
    await anyio.lowlevel.checkpoint()
    log.append(3)
    return "done"


async def _cut_everywhere(call: Callable[[], Awaitable[None]]) -> None:
    for cut in cancelled_at_every_checkpoint():
        await cut(call())


async def test_each_cut_goes_one_checkpoint_further_and_the_last_lets_it_end() -> None:
    seen = []
    for cut in cancelled_at_every_checkpoint():
        log: list[int] = []
        result = await cut(_three_steps(log))
        seen.append((log[-1], cut.cancelled, result))
    assert seen[-1] == (3, False, "done")
    assert all(cancelled and result is None for _, cancelled, result in seen[:-1])
    assert {last for last, _, _ in seen} == {0, 1, 2, 3}
    assert seen == sorted(seen, key=lambda each: each[0])


async def test_two_runs_cut_at_the_same_places() -> None:
    async def run() -> list[int]:
        log: list[int] = []
        for cut in cancelled_at_every_checkpoint():
            await cut(_three_steps(log))
        return log

    assert await run() == await run()


async def test_a_call_that_ends_although_it_was_cut_keeps_its_result() -> None:
    async def shielded() -> str:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
        return "done"

    for cut in cancelled_at_every_checkpoint():
        assert await cut(shielded()) == "done"
        assert not cut.cancelled


async def test_a_call_that_loses_what_it_took_is_found_out() -> None:
    """The defect the driver is for: something is taken, and then there is one more wait."""
    queue = [1]

    async def careless() -> int:
        taken = queue.pop()
        await anyio.lowlevel.checkpoint()
        return taken

    lost = 0
    for cut in cancelled_at_every_checkpoint():
        queue[:] = [1]
        await cut(careless())
        lost += cut.cancelled and not queue
    assert lost > 0


async def test_an_error_of_the_call_comes_through() -> None:
    async def broken() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError

    with pytest.raises(LookupError):
        await _cut_everywhere(broken)


async def test_a_call_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busway.testing._checkpoints._FAR", 5)

    async def endless() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(AssertionError, match="not ended after 5 checkpoints"):
        await _cut_everywhere(endless)
