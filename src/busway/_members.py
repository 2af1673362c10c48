"""The other members of a group: do they handle what we do?"""

from __future__ import annotations

import time

from ._routing import matcher
from ._runtime import Runtime
from .errors import TransportError
from .transport import Announces, Group

__all__ = ["Members"]

_FRESH = 1.0


class Members:
    """What this process knows of its group's other members, at most a second old."""

    def __init__(self, runtime: Runtime, group: Group) -> None:
        self._runtime = runtime
        self._transport = runtime.transport if isinstance(runtime.transport, Announces) else None
        self._group = group
        self._seen: dict[str, tuple[str, ...]] = {}
        self._asked = float("-inf")

    async def announce(self, group: Group) -> None:
        """Say which patterns this member handles, and log who handles others."""
        self._group = group
        self._asked = float("-inf")
        await self._ask()

    async def others_match(self, topic: str) -> bool:
        """Whether a living member has a pattern for a topic that this one has none for."""
        await self._ask()
        patterns = [p for name, ps in self._seen.items() if name != self._group.member for p in ps]
        return bool(patterns) and matcher(patterns)(topic)

    async def _ask(self) -> None:
        now = time.monotonic()
        if self._transport is None or now - self._asked < _FRESH:
            return
        self._asked = now
        try:
            members = dict(await self._transport.announce(self._group))
        except TransportError as error:
            self._runtime.log.warning("group %r: members unknown: %s", self._group.name, error)
            return
        for name, patterns in members.items():
            if set(patterns) != set(self._group.patterns) and self._seen.get(name) != patterns:
                self._runtime.log.error(
                    "group %r: this member handles %s, member %s handles %s. Members of one group "
                    "should have the same patterns",
                    self._group.name,
                    ", ".join(self._group.patterns),
                    name,
                    ", ".join(patterns),
                )
        self._seen = members
