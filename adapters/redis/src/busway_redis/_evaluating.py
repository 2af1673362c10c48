"""Running a script that the server may have forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ._errors import Refused
from ._link import Argument
from ._scripts import Script

__all__ = ["evaluated"]


async def evaluated(
    call: Callable[..., Awaitable[Any]],
    script: Script,
    keys: Sequence[str],
    args: Sequence[Argument],
) -> Any:
    """What a script answers. A server that does not know it has not run it, and gets the text."""
    rest = (len(keys), *keys, *args)
    try:
        return await call(keys[0], "EVALSHA", script.sha, *rest)
    except Refused as error:
        if error.code != "NOSCRIPT":
            raise
    return await call(keys[0], "EVAL", script.text, *rest)
