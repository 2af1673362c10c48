"""For web applications: any that speak ASGI, as FastAPI, Starlette and Litestar do.

No framework is imported here. A bus joins the life of an app by ``lifespan=bus.lifespan``;
``BusMiddleware`` is for what requests publish, ``EventStream`` for browsers that look on.
"""

from __future__ import annotations

from ._middleware import BusMiddleware
from ._problem import Problem, problem_of
from ._scope import ASGIApp, Receive, Scope, Send
from ._stream import EventStream

__all__ = [
    "ASGIApp",
    "BusMiddleware",
    "EventStream",
    "Problem",
    "Receive",
    "Scope",
    "Send",
    "problem_of",
]
