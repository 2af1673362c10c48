"""The other members of a group: do they handle what we do?"""

from __future__ import annotations

from ._routing import matcher
from ._runtime import Runtime
from .errors import TransportError
from .transport import Announces, Group

__all__ = ["Members"]


class Members:
    """What this process knows of its group's other members.

    It is asked anew for each batch received: a member that joined before an event was published has
    announced itself before that event is received. An older answer could miss it, and what only
    that member handles would be acknowledged unhandled.
    """

    def __init__(self, runtime: Runtime, group: Group) -> None:
        self._runtime = runtime
        self._transport = runtime.transport if isinstance(runtime.transport, Announces) else None
        self._group = group
        self._seen: dict[str, tuple[str, ...]] = {}
        self.stale = True
        """Something was received since the members were asked for."""

    async def announce(self, group: Group) -> None:
        """Say which patterns this member handles, and log who handles others."""
        self._group = group
        self.stale = True
        try:
            await self._ask()
        except TransportError as error:
            self._runtime.log.warning("group %r: members unknown: %s", group.name, error)

    async def others_match(self, topic: str) -> bool:
        """Whether a living member has a pattern for a topic that this one has none for.

        Raises TransportError when it cannot be known.
        """
        await self._ask()
        patterns = [p for name, ps in self._seen.items() if name != self._group.member for p in ps]
        return bool(patterns) and matcher(patterns)(topic)

    async def _ask(self) -> None:
        if self._transport is None or not self.stale:
            return
        self.stale = False  # before: what is received meanwhile needs a newer answer
        try:
            members = dict(await self._transport.announce(self._group))
        except BaseException:
            self.stale = True
            raise
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
