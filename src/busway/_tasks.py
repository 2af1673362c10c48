"""Telling whose cancellation it is, on both event loops."""

from __future__ import annotations

import math
from typing import cast

import anyio

__all__ = ["cancelled_by_owner", "is_cancellation"]


def is_cancellation(error: BaseException) -> bool:
    """Whether it is one, whoever asked for it."""
    if isinstance(error, BaseExceptionGroup):  # a nursery of trio's own wraps those of its tasks
        group = cast("BaseExceptionGroup[BaseException]", error)
        return group.subgroup(anyio.get_cancelled_exc_class()) is not None
    return isinstance(error, anyio.get_cancelled_exc_class())


def cancelled_by_owner(error: BaseException) -> bool:
    """Whether this is a cancellation of the task that runs a handler.

    A handler can also *raise* a cancellation nobody asked for: by awaiting a task that was
    cancelled elsewhere, say. That is an error of the handler like any other.
    """
    if not is_cancellation(error):
        return False
    if anyio.current_effective_deadline() == -math.inf:
        return True
    import asyncio  # late: it takes longer to import than the bus

    try:
        task = asyncio.current_task()
    except RuntimeError:  # not asyncio: trio cancels by scopes alone, seen above
        return False
    return task is not None and task.cancelling() > 0
