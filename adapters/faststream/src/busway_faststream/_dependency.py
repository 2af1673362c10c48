"""The bus as a dependency of FastStream's handlers."""

from __future__ import annotations

from typing import Annotated, NoReturn

from faststream import Context

from busway import Bus, StateError

__all__ = ["BusDep"]


def _no_bus() -> NoReturn:
    raise StateError(
        "this app has no bus: FastStream(broker, lifespan=bus.lifespan) brings it, or, with hooks, "
        'FastStream(broker, context=ContextRepo({"bus": bus}), on_startup=[bus.start], …)'
    )


BusDep = Annotated[Bus, Context("bus", initial=_no_bus)]
"""The running bus, as a parameter of a handler of FastStream's: ``async def handle(order: Order,
bus: BusDep)``. It is what ``Annotated[Bus, Context("bus")]`` is, with an error that says what is
missing where there is none."""
