"""The life of a bus as a part of an app's: what a framework enters at its start and leaves at its
end.

No framework is known here. What one of them needs beyond an async context manager of the app is
brought by a distribution of its own, which names that framework's package as an entry point:
``[project.entry-points."busway.frameworks"]``.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from ._host import Host, State
from .errors import StateError

__all__ = ["Lifespan", "lifespan_of"]

Lifespan: TypeAlias = Callable[..., AbstractAsyncContextManager[Any]]
"""Takes the app, or nothing."""

_GROUP = "busway.frameworks"


def lifespan_of(bus: AbstractAsyncContextManager[Any, Any], host: Host) -> Lifespan:
    """The lifespan of a bus, with what the frameworks of this program need."""

    @asynccontextmanager
    async def lifespan(app: object = None) -> AsyncGenerator[Mapping[str, Any]]:
        _check_free(host)
        host.in_app = True
        try:
            async with bus:
                yield {"bus": bus}
        finally:
            host.in_app = False

    return _embedded(bus, lifespan)


def _check_free(host: Host) -> None:
    if host.in_app:
        raise StateError(
            "bus.lifespan is in use: a bus lives in one app at a time. Give each app a Bus of its "
            "own, or start and stop this one yourself, around all of them"
        )
    if host.state not in (State.NEW, State.STOPPED):
        raise StateError(
            f"the bus is {host.state.value}: bus.lifespan starts and stops it. Leave out what "
            "starts it beside the app (start(), `async with bus`, run()), or leave out lifespan="
        )


def _embedded(bus: object, lifespan: Lifespan) -> Lifespan:
    # Only those that the program has imported: nothing is loaded for a framework that is not used.
    from importlib.metadata import entry_points

    for point in entry_points(group=_GROUP):
        if point.name in sys.modules:
            lifespan = point.load()(bus, lifespan)
    return lifespan
