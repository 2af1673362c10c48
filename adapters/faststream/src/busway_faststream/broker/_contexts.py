"""``Context``, ``Header`` and ``Path`` without a thread for each.

FastDepends hands whatever is no coroutine function to a worker thread, also the lookup of a context
variable: three such parameters take ten times as long as all the rest of the pipeline. They do not
block, so they are looked up where the handler runs.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from faststream.context import Context

from ._compat import HandlerItem

__all__ = ["look_up_at_once"]


def look_up_at_once(call: HandlerItem[Any]) -> None:
    """For a handler that was resolved: of its own parameters, not of those of dependencies, which
    other handlers may share."""
    assert call.dependant is not None
    fields: dict[str, Any] = call.dependant.custom_fields
    for name, field in fields.items():
        # Somebody's own kind of parameter may do anything, and so block.
        if type(field) is Context:
            fields[name] = _inline(field)


def _inline(field: Context) -> Context:
    found = copy(field)
    look_up = field.use

    async def use(**kwargs: Any) -> dict[str, Any]:
        return look_up(**kwargs)

    vars(found)["use"] = use
    return found
