"""``bus.lifespan`` in a FastStream app. The core finds this by an entry point, once the program has
imported FastStream; see ``busway._lifespan``."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any
from weakref import WeakKeyDictionary, WeakSet

import anyio
from faststream import Context

from busway import Bus, StateError

from ._conversation import BusMiddleware
from ._mirror import MirrorToBus

__all__ = ["embed"]

Lifespan = Callable[..., AbstractAsyncContextManager[Any]]

_NAME = "bus"
_log = logging.getLogger("busway.faststream")
_drained: WeakKeyDictionary[Any, WeakSet[Bus]] = WeakKeyDictionary()
"""The apps that drain a bus, each with those that it drains."""


def embed(bus: Bus, lifespan: Lifespan) -> Lifespan:
    """The lifespan of a bus, for whichever app takes it: FastStream's injects its context."""

    @asynccontextmanager
    async def in_app(
        app: object = None,
        *,
        context: Annotated[Any, Context("context", default=None)] = None,
    ) -> AsyncGenerator[Any]:
        if context is None:
            async with lifespan(app) as state:
                yield state
            return
        async with lifespan(app) as state:
            owner = context.get("app")
            if owner is not None:
                _join(owner, bus)
            context.set_global(_NAME, bus)
            try:
                yield state
            except AssertionError as error:
                _raise_without_broker(owner, error)
            finally:
                context.reset_global(_NAME)

    return in_app


def _join(app: Any, bus: Bus) -> None:
    for broker in app.brokers:
        if not any(
            each is BusMiddleware or isinstance(each, MirrorToBus) for each in broker.middlewares
        ):
            # Outermost: what traces inside of it finds the trace that it brings.
            broker.insert_middleware(BusMiddleware)
    buses = _drained.setdefault(app, WeakSet())
    if bus in buses:
        return
    buses.add(bus)

    async def drain() -> None:
        await _drain(app, bus)

    app.on_shutdown(drain)


async def _drain(app: Any, bus: Bus) -> None:
    """What the app's last handlers publish, the bus takes; what the bus's last handlers publish by
    a broker, the broker takes: so the brokers stop receiving, then the bus stops, then they close.
    """
    try:
        async with anyio.create_task_group() as tasks:
            for broker in app.brokers:
                # Whose handlers are the bus's own is handed events until the bus stops.
                ours = getattr(broker, "bus", None) is bus
                for subscriber in broker.subscribers:
                    tasks.start_soon(_stop, subscriber.stop_asking if ours else subscriber.stop)
    finally:
        await bus.stop()


async def _stop(stop: Callable[[], Awaitable[object]]) -> None:
    try:
        await stop()
    except Exception:
        # Its broker stops it again, and raises what is wrong once all others are stopped.
        _log.exception("%r could not be stopped", getattr(stop, "__self__", stop))


def _raise_without_broker(app: Any, error: AssertionError) -> None:
    if app is None or app.brokers:
        raise error
    raise StateError(
        "a FastStream app needs a broker to start: FastStream(RedisBroker(…), "
        "lifespan=bus.lifespan). Where the bus is all there is, `await bus.run()` needs no app"
    ) from error
