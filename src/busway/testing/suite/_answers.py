"""Calls that a broker may not answer, and what becomes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio

from busway.errors import TransportError
from busway.transport import Written

from ._driver import Driver

__all__ = ["again", "answered", "ends", "made_in", "sent"]

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]
Silence = AbstractAsyncContextManager[Any]


async def sent(driver: Driver, data: object) -> None:
    outcomes = await driver.transport.send([driver.event(data, key="k")], timeout=driver.patience)
    for each in outcomes:
        if not isinstance(each, Written):
            raise each.error


async def made_in(silence: Silence, driver: Driver, call: Call[T]) -> T:
    """Make a call while the broker is silent, and again after it, unless it asked nobody."""
    async with silence:
        results = await answered(driver, call, "the call")
    return results[0] if results else await again(driver, call)


async def answered(driver: Driver, call: Call[T], what: str) -> list[T]:
    """What a call returns during a silence; nothing, if it raises what it may."""
    try:
        with anyio.move_on_after(driver.patience):
            return [await call()]
    except TransportError as error:
        if error.retryable:
            return []
        raise AssertionError(f"{what} says that trying again cannot help: {error}") from error
    except Exception as error:
        raise AssertionError(f"{what} raised {error!r}, which is no TransportError") from error
    raise AssertionError(f"{what} had not ended after {driver.patience} s: it needs a deadline")


async def ends(driver: Driver, call: Call[Any]) -> None:
    """Leaving: it has nobody to tell."""
    try:
        with anyio.move_on_after(driver.patience):
            await call()
            return
    except Exception as error:
        raise AssertionError(f"leaving raised {error!r}") from error
    raise AssertionError(f"leaving had not ended after {driver.patience} s: it needs a deadline")


async def again(driver: Driver, call: Call[T]) -> T:
    """Call until the broker answers, as the core does."""
    last: TransportError | None = None
    with anyio.move_on_after(driver.patience):
        while True:
            try:
                return await call()
            except TransportError as error:
                last = error
                await anyio.sleep(0.01)
    raise AssertionError(f"the broker speaks again, and the call never worked: {last!r}")
