"""Waiting for several answers with one deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ._errors import Refused, Unanswered

__all__ = ["Deadlines", "answers", "answers_or_refusals", "unheard"]


async def answers(begun: Sequence[asyncio.Future[Any]], timeout: float) -> list[Any]:
    """The answers to commands that were begun, in order; raises the first error."""
    timer = asyncio.get_running_loop().call_later(timeout, _give_up, begun, timeout)
    try:
        return [await future for future in begun]
    finally:
        timer.cancel()
        _drop(begun)


async def answers_or_refusals(begun: Sequence[asyncio.Future[Any]], timeout: float) -> list[Any]:
    """The same, with a refusal in its place where the server refused; raises other errors."""
    timer = asyncio.get_running_loop().call_later(timeout, _give_up, begun, timeout)
    told: list[Any] = []
    try:
        for future in begun:
            try:
                told.append(await future)
            except Refused as refused:
                told.append(refused)
    finally:
        timer.cancel()
        _drop(begun)
    return told


def unheard(future: asyncio.Future[Any]) -> None:
    """Nobody will ask for this answer: its failure, too, is nobody's."""
    if future.done():
        _look(future)
    else:
        future.add_done_callback(_look)


class Deadlines:
    """Many futures, one timer: they are watched in the order of their deadlines, as nearly all
    are."""

    def __init__(self, give_up: Callable[[asyncio.Future[Any], float], None]) -> None:
        self._give_up = give_up
        self._line: deque[tuple[float, asyncio.Future[Any], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, future: asyncio.Future[Any], timeout: float) -> None:
        """Give it up when it is not done in time."""
        loop = future.get_loop()
        if loop is not self._loop:
            # What another loop waited for, nobody waits for any more.
            self._line.clear()
            self._loop, self._timer = loop, None
        when, line = loop.time() + timeout, self._line
        while line and line[0][1].done():
            line.popleft()
        if line and when < line[-1][0]:
            loop.call_at(when, self._give_up, future, timeout)
            return
        line.append((when, future, timeout))
        if self._timer is None:
            self._timer = loop.call_at(when, self._look)

    def _look(self) -> None:
        line = self._line
        self._timer = None
        while line:
            when, future, timeout = line[0]
            loop = future.get_loop()
            if not future.done():
                if when > loop.time():
                    self._timer = loop.call_at(when, self._look)
                    return
                self._give_up(future, timeout)
            line.popleft()


def _drop(begun: Sequence[asyncio.Future[Any]]) -> None:
    """Nobody waits for these any more: what was not sent need not be."""
    for future in begun:
        future.cancel()
        unheard(future)


def _look(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _give_up(begun: Sequence[asyncio.Future[Any]], timeout: float) -> None:
    for future in begun:
        if not future.done():
            future.set_exception(Unanswered(f"no answer within {timeout:g} s"))
