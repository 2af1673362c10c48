"""What a request for an event stream asks for, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from .._channels import meet
from .._routing import matcher
from ..errors import PatternError
from ._entry import LONGEST_ID
from ._problem import Problem
from ._scope import Scope, header, queried

__all__ = ["Asked", "asked_of"]

# An event's id, or a place, which begins with an exclamation mark (see ``place_of``).
_ID = rf"[\x22-\x7e]{{1,{LONGEST_ID}}}"
_SENT: Final = re.compile(rf"[0-9a-f]{{8}}\.(?:{_ID}|!-?[0-9]{{1,15}}(?:!{_ID})?)")
# What is asked for is anybody's: a few braces are hundreds of patterns to be compiled.
_COSTLY: Final = re.compile(r"[][{}?]|[^.:*]\*|\*[^.:*]|\*{3}")
_MOST_TOPICS: Final = 20
_LONGEST_TOPIC: Final = 256


class Asked(msgspec.Struct, frozen=True):
    """What is wanted of the stream."""

    after: str | None = None
    """The id of the last event that was seen."""
    wanted: Callable[[str], bool] | None = None
    """Which topics; None for all."""


def asked_of(scope: Scope, offered: Sequence[str]) -> Asked | Problem:
    """From ``Last-Event-ID`` (or ``?last-event-id=``, for a page that knows where it is when it
    connects first) and ``?topic=``, any number of them."""
    if scope.get("method") not in ("GET", "HEAD"):
        allow = (("allow", "GET, HEAD"),)
        return Problem(405, "Method not allowed", "An event stream is read with GET.", allow)
    after = header(scope, "last-event-id") or next(iter(queried(scope, "last-event-id")), None)
    return asked(after, queried(scope, "topic"), offered)


def asked(after: str | None, topics: Sequence[str], offered: Sequence[str]) -> Asked | Problem:
    if after and not _SENT.fullmatch(after):
        said = (
            "It takes the id of an event of this stream, as it was sent. Connect without one to "
            "begin with what comes now."
        )
        return Problem(400, "No Last-Event-ID of this stream", said)
    if len(topics) > _MOST_TOPICS or any(len(topic) > _LONGEST_TOPIC for topic in topics):
        said = f"At most {_MOST_TOPICS} of {_LONGEST_TOPIC} characters each."
        return Problem(400, "Too many topics", said)
    for topic in topics:
        if _COSTLY.search(topic):
            said = "A browser asks with names, and with * and ** for whole segments."
            return Problem(400, "Malformed topic", said)
        try:
            known = meet(topic, offered)
        except PatternError as error:
            return Problem(400, "Malformed topic", str(error))
        if not known:
            said = f"Nothing here is a {topic}: this stream has {', '.join(offered)}."
            return Problem(404, "Unknown topic", said)
    return Asked(after or None, matcher(topics) if topics else None)
