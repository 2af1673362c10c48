"""The groups' mailboxes, and which of them a topic goes to."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import TransportError
from ..message import Envelope
from ..transport import Group, Outgoing
from ._mailbox import Mailbox
from ._port import Line

__all__ = ["Boxes"]

_log = logging.getLogger("busway.memory")
_ROUTES_KEPT = 10_000


class Boxes:
    """Every group there is, by name."""

    def __init__(self, capacity: int) -> None:
        self.by_group: dict[str, Mailbox] = {}
        self.lines: dict[str, Line] = {}
        """What ports stand on, by topic; as many as there are declared classes."""
        self._capacity = capacity
        self._routes: dict[str, tuple[Mailbox, ...]] = {}

    def put(self, item: Outgoing) -> None:
        """Into every mailbox it goes to, whether there is room or not."""
        for box in self.targets(item):
            box.overshoot += box.over
            box.put(item)
            if not box.followed and len(box.ready) == box.capacity:
                _say_deserted(box)

    def targets(self, item: Outgoing) -> Sequence[Mailbox]:
        """Where an item goes. Raises TransportError for a group that there is not."""
        group = item.address.group
        if group is not None:
            return (self.get(group),)
        assert isinstance(item.content, Envelope), "only an envelope is an event"
        return self.route(item.content.type)

    def route(self, topic: str) -> tuple[Mailbox, ...]:
        """The mailboxes of the groups that match a topic."""
        boxes = self._routes.get(topic)
        if boxes is None:
            if len(self._routes) >= _ROUTES_KEPT:
                self._forget_routes()
            boxes = tuple(box for box in self.by_group.values() if box.matches(topic))
            self._routes[topic] = boxes
        return boxes

    def get(self, group: str) -> Mailbox:
        """Raises TransportError when there is none."""
        box = self.by_group.get(group)
        if box is None:
            raise TransportError(f"there is no group {group!r}", retryable=False)
        return box

    def deserted(self, group: str) -> Mailbox:
        """Raises TransportError when there is none, or when a member listens."""
        box = self.get(group)
        if box.followed:
            raise TransportError(f"group {group!r} has members that listen", retryable=False)
        return box

    def add(self, group: Group) -> Mailbox:
        """A new one. Its first member has to ``follow``."""
        box = self.by_group[group.name] = Mailbox(group, self._capacity, self.lines)
        return box

    def follow(self, box: Mailbox, owner: object, group: Group) -> None:
        """A member's patterns are these from now on."""
        box.followed[owner] = group
        self._changed(box)

    def leave(self, box: Mailbox, owner: object) -> None:
        """A member is gone, and with the last one a group that is kept for nobody."""
        box.leave(owner)
        if not box.durable and not box.followed:
            del self.by_group[box.name]
        self._changed(box)

    def remove(self, box: Mailbox) -> None:
        """That group is no more."""
        del self.by_group[box.name]
        self._changed(box)

    def wake(self) -> None:
        """Let every reader look again."""
        for box in self.by_group.values():
            box.wake()

    def _changed(self, box: Mailbox) -> None:
        self._forget_routes()
        box.let_go()

    def _forget_routes(self) -> None:
        self._routes.clear()
        for line in self.lines.values():
            line.forget()


def _say_deserted(box: Mailbox) -> None:
    _log.warning(
        "group %r has no member and %d events wait for it; senders do not wait for a group that "
        "nobody empties. Subscribe in it again, or end it: bus.remove_group(%r)",
        box.name,
        len(box.ready),
        box.name,
    )
