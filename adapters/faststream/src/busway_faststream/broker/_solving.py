"""A handler that takes its event and nothing else, called without FastDepends' machinery.

What it does for such a handler is to validate the argument and the result; the stacks, generators
and caches around that are for dependencies, of which there are none.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ._compat import HandlerItem

__all__ = ["solver_of"]

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def solver_of(call: HandlerItem[Any]) -> Callable[[Any], Awaitable[Any]]:
    """Takes a message, and returns what the handler does."""
    model = call.dependant
    if model is None or not _takes_nothing_else(model):
        return call.handler.call_wrapped
    function, serializer = model.call, model.serializer
    if serializer is None:

        async def unchecked(message: Any) -> Any:
            return await function(await message.decode())

        return unchecked
    name = model.params[0].field_name

    async def solved(message: Any) -> Any:
        given = serializer({name: await message.decode()})
        return serializer.response(await function(given[name]))

    return solved


def _takes_nothing_else(model: Any) -> bool:
    return (
        len(model.params) == 1
        and model.params[0].kind in _BY_PLACE
        and not (model.dependencies or model.extra_dependencies or model.custom_fields)
        and not model.is_generator
        and inspect.iscoroutinefunction(model.call)
    )
