"""One small shop, in each of the frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from litestar import Litestar, asgi, get, post
from litestar import Request as LitestarRequest
from litestar import Response as LitestarResponse
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from busway import Bus, BuswayError, Envelope
from busway.asgi import BusMiddleware, EventStream, problem_of

__all__ = ["APPS", "Make", "in_fastapi", "in_litestar", "in_starlette"]

Make = Callable[[Bus, EventStream], Any]


def told(envelope: Envelope | None) -> dict[str, Any]:
    """What the client is told of what was published."""
    assert envelope is not None
    return {
        "id": envelope.id,
        "correlation": envelope.correlation_id,
        "causation": envelope.causation_id,
        "traceparent": envelope.traceparent,
        "tracestate": envelope.tracestate,
    }


def in_fastapi(bus: Bus, live: EventStream) -> Any:
    app = FastAPI(lifespan=bus.lifespan)
    app.add_middleware(BusMiddleware, bus=bus)
    app.mount("/live", live)

    def the_bus(request: Request) -> Bus:
        return request.state.bus  # type: ignore[no-any-return]

    shared = Depends(the_bus)

    @app.post("/orders/{id}")
    async def place(id: str, bus: Bus = shared) -> dict[str, Any]:
        return told(await bus.publish("order.placed", {"id": id}))

    @app.post("/emit/{id}")
    async def emit(id: str, bus: Bus = shared) -> dict[str, Any]:
        return told(bus.emit("order.placed", {"id": id}))

    @app.post("/thread/{id}")
    def in_thread(id: str, bus: Bus = shared) -> dict[str, Any]:
        return told(bus.from_thread.publish("order.placed", {"id": id}))

    @app.get("/price/{item}")
    async def price(item: str, bus: Bus = shared) -> Any:
        return await bus.request("price.asked", {"item": item}, timeout=0.5)

    @app.get("/own")
    async def own(request: Request) -> StreamingResponse:
        last = request.headers.get("last-event-id")
        return StreamingResponse(live.body(last_event_id=last), headers=live.headers)

    return app


def in_starlette(bus: Bus, live: EventStream) -> Any:
    async def place(request: StarletteRequest) -> JSONResponse:
        envelope = await request.state.bus.publish("order.placed", dict(request.path_params))
        return JSONResponse(told(envelope))

    async def emit(request: StarletteRequest) -> JSONResponse:
        return JSONResponse(told(request.state.bus.emit("order.placed", dict(request.path_params))))

    def in_thread(request: StarletteRequest) -> JSONResponse:
        bus: Bus = request.state.bus
        return JSONResponse(
            told(bus.from_thread.publish("order.placed", dict(request.path_params)))
        )

    async def price(request: StarletteRequest) -> JSONResponse:
        asked = dict(request.path_params)
        return JSONResponse(await request.state.bus.request("price.asked", asked, timeout=0.5))

    routes = [
        Route("/orders/{id}", place, methods=["POST"]),
        Route("/emit/{id}", emit, methods=["POST"]),
        Route("/thread/{id}", in_thread, methods=["POST"]),
        Route("/price/{item}", price),
        Mount("/live", live),
    ]
    app = Starlette(routes=routes, lifespan=bus.lifespan)
    app.add_middleware(BusMiddleware, bus=bus)
    return app


def in_litestar(bus: Bus, live: EventStream) -> Any:
    @post("/orders/{id:str}")
    async def place(id: FromPath[str], bus: NamedDependency[Any]) -> dict[str, Any]:
        return told(await bus.publish("order.placed", {"id": id}))

    @post("/emit/{id:str}")
    async def emit(id: FromPath[str], bus: NamedDependency[Any]) -> dict[str, Any]:
        return told(bus.emit("order.placed", {"id": id}))

    @post("/thread/{id:str}", sync_to_thread=True)
    def in_thread(id: FromPath[str], bus: NamedDependency[Any]) -> dict[str, Any]:
        return told(bus.from_thread.publish("order.placed", {"id": id}))

    @get("/price/{item:str}")
    async def price(item: FromPath[str], bus: NamedDependency[Any]) -> Any:
        return await bus.request("price.asked", {"item": item}, timeout=0.5)

    @asgi("/live", is_mount=True, copy_scope=True)
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await live(scope, receive, send)

    async def the_bus(state: State) -> Any:
        return bus

    def answer(
        request: LitestarRequest[Any, Any, Any], error: BuswayError
    ) -> LitestarResponse[Any]:
        problem = problem_of(error)
        if problem is None:
            raise error
        return LitestarResponse(problem.document, status_code=problem.status)

    return Litestar(
        route_handlers=[place, emit, in_thread, price, stream],
        lifespan=[bus.lifespan],
        middleware=[DefineMiddleware(BusMiddleware, bus=bus)],
        dependencies={"bus": Provide(the_bus)},
        exception_handlers={BuswayError: answer},
    )


APPS: dict[str, Make] = {
    "fastapi": in_fastapi,
    "starlette": in_starlette,
    "litestar": in_litestar,
}
