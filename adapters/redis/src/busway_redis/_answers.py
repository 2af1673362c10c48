"""Waiting for several answers with one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ._errors import Refused, Unanswered

__all__ = ["answers", "answers_or_refusals", "unheard"]


async def answers(begun: Sequence[asyncio.Future[Any]], timeout: float) -> list[Any]:
    """The answers to commands that were begun, in order; raises the first error."""
    timer = asyncio.get_running_loop().call_later(timeout, _give_up, begun, timeout)
    try:
        return [await future for future in begun]
    finally:
        timer.cancel()
        for future in begun:
            unheard(future)


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
        for future in begun:
            unheard(future)
    return told


def unheard(future: asyncio.Future[Any]) -> None:
    """Nobody will ask for this answer: its failure, too, is nobody's."""
    if future.done():
        _look(future)
    else:
        future.add_done_callback(_look)


def _look(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _give_up(begun: Sequence[asyncio.Future[Any]], timeout: float) -> None:
    for future in begun:
        if not future.done():
            future.set_exception(Unanswered(f"no answer within {timeout:g} s"))
