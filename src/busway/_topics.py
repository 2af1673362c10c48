"""Topics: what is well-formed.

A topic is segments separated by ``.`` or ``:``, as in ``order.placed`` or ``funnel:step.done``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .errors import TopicError

__all__ = ["EMPTY_SEGMENT", "MAX_TOPIC", "check_topic", "split_topic", "unfit"]

MAX_TOPIC: Final = 255
"""The longest topic, in characters."""
EMPTY_SEGMENT: Final = re.compile(r"^[.:]|[.:][.:]|[.:]\Z")
_WILD = re.compile(r"[*?\[\]{}\\]")

split_topic = re.compile(r"[.:]?[^.:]+|[.:]").findall
"""A topic's segments, each with the separator before it: ``a.b:c`` is ``["a", ".b", ":c"]``."""


@lru_cache(maxsize=10_000)
def check_topic(topic: str) -> str:
    """Return the topic if it is well-formed.

    Raises ``TopicError`` when it is empty, longer than 255 characters, has an empty segment, or
    holds a wildcard character, a backslash, whitespace or what cannot be printed.
    """
    if not isinstance(topic, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TopicError(f"topic {topic!r} is no text: name what happened, as in 'order.placed'")
    if not topic:
        raise TopicError("topic '' is empty: name what happened, as in 'order.placed'")
    if len(topic) > MAX_TOPIC:
        raise TopicError(
            f"topic {topic[:40] + '…'!r} is {len(topic)} characters long, the most is {MAX_TOPIC}: "
            "put what varies from event to event into the event or its key"
        )
    if wild := _WILD.search(topic):
        raise TopicError(
            f"topic {topic!r} holds {wild.group()!r}, which is for patterns: "
            "publish to one exact topic, and subscribe with wildcards"
        )
    if wrong := unfit(topic):
        raise TopicError(f"topic {topic!r} holds {wrong!r}: write '_' or '-' instead")
    if EMPTY_SEGMENT.search(topic):
        raise TopicError(
            f"topic {topic!r} has an empty segment: "
            "write one '.' or ':' between two names and none at the ends"
        )
    return topic


def unfit(text: str) -> str | None:
    """The first character that is whitespace or cannot be printed."""
    if text.isprintable() and " " not in text:
        return None
    return next(c for c in text if c == " " or not c.isprintable())
