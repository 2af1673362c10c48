"""A task that belongs to no task group: what owns the bus's own task group.

``start`` and ``stop`` may be called from different tasks (frameworks do so), and a task group has
to be left by the task that entered it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["spawn"]

# The event loop keeps only weak references to tasks.
_kept: set[asyncio.Task[Any]] = set()


def spawn(main: Callable[[], Awaitable[None]], name: str) -> None:
    """Run ``main`` beside the caller. It must let no exception out."""
    # Late: most of the time it takes to import the bus would be asyncio's, and who runs has it.
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(main, name=name, context=copy_context())
        return
    task = loop.create_task(_awaited(main), name=name)
    _kept.add(task)
    task.add_done_callback(_kept.discard)


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()
