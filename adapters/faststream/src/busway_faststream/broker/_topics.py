"""From a declared event class to its topic."""

from __future__ import annotations

from functools import lru_cache

from busway import Bus

__all__ = ["topic_of"]


async def _never(event: object) -> None:
    raise AssertionError("nothing is published on this bus")


@lru_cache(maxsize=1024)
def topic_of(cls: type) -> str:
    """Raises EventError for a class that is not declared."""
    (topic,) = Bus("null://").add(_never, cls).patterns
    return topic
