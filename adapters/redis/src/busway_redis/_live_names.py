"""What the channels of pub/sub are called.

They are no keys: a database has none of its own, and nothing of them is left when nobody listens.
"""

from __future__ import annotations

import re

from busway.transport import Group

__all__ = ["LiveNames"]

_GLOB = re.compile(r"([*?\[\]\\^-])")


class LiveNames:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._events = f"{prefix}:live:"
        self._replies = f"{prefix}:live-reply:"
        self._pattern = _GLOB.sub(r"\\\1", self._events).encode() + b"*"

    def events(self, channel: str) -> str:
        """Where the events of a channel of the bus are published."""
        return f"{self._events}{channel}"

    def replies(self, group: str) -> str:
        """Where the answers to a group's requests are published."""
        return f"{self._replies}{group}"

    def channel(self, name: bytes) -> str:
        """The channel of the bus in which something was heard."""
        text = name.decode(errors="replace")
        return text.removeprefix(self._events) if text.startswith(self._events) else "reply"

    def wanted(self, group: Group) -> dict[bytes, bool]:
        """What a group subscribes to: True for the name of a channel, False for a pattern."""
        wanted = {self.replies(group.name).encode(): True}
        if group.channels is None:
            wanted[self._pattern] = False
        else:
            wanted |= {self.events(channel).encode(): True for channel in group.channels}
        return wanted
