"""The hub: where what is sent, held, kept and received comes together."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import anyio
import msgspec

from ..codec import decode
from ..errors import BuswayError, TransportError
from ..message import Envelope
from ..transport import (
    WRITTEN,
    Address,
    Browsed,
    Clock,
    Delivery,
    Group,
    GroupState,
    NotWritten,
    Outcome,
    Outgoing,
    Port,
    Purpose,
    Start,
    SystemClock,
)
from ._boxes import Boxes
from ._chart import Chart
from ._feed import LeasedFeed, MemoryFeed
from ._history import History
from ._later import Later
from ._mailbox import Mailbox
from ._port import Line
from ._shelf import Shelf

__all__ = ["MemoryTransport"]


def _needs_more(envelope: Envelope) -> bool:
    return False


class MemoryTransport:
    """Events inside one process.

    Give one object to several buses and they share its events, as processes share a broker's.
    Powers: Holds, Volatile, Browses, Discards, ManagesGroups, Announces, Charts, Located, Rewinds
    (where history is kept), TakesClock; its feeds Moves, Redelivers, Follows, and Extends where
    loans run out.
    """

    holds: Literal[True] = True
    volatile: Literal[True] = True

    def __init__(
        self,
        *,
        mailbox: int = 1024,
        history: int = 0,
        dead: int = 10_000,
        lease: float | None = None,
        codec: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._lease = lease
        self._encodes = codec is not None
        self._history = History(history)
        self._shelf = Shelf(dead)
        self._boxes = Boxes(mailbox)
        self._later = Later()
        self._held = self._later.heap  # looked at by every receive
        self._chart = Chart()
        self._location = f"memory:{secrets.token_hex(8)}"
        # One question in the hot path instead of three.
        self._plain = not (history or codec)

    def __repr__(self) -> str:
        return f"<MemoryTransport groups={sorted(self._boxes.by_group)}>"

    async def __aenter__(self) -> MemoryTransport:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing to close: what waits stays for whoever enters next."""

    def port(self, topic: str, address: Address, /) -> Port:
        """Appends to the mailboxes of every group that matches, if all of them have room."""
        if not self._plain:
            return _needs_more
        line = self._boxes.lines.setdefault(topic, Line(address.channel))
        if line.channel != address.channel:
            return _needs_more  # of two buses that disagree about a topic, the first has the port
        return line.port(lambda: self._boxes.route(topic))

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        return self._chart.add(channels)

    async def location(self) -> str:
        return self._location

    # --- send ---------------------------------------------------------------------------------

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for item in items:
            if isinstance(taken := self._take(item), Mailbox):
                full = taken
                break
            outcomes.append(taken)
        else:
            return outcomes  # most find room, and a scope with a deadline costs more than all this
        with anyio.move_on_after(timeout):
            await full.wait_for_room()
            for item in items[len(outcomes) :]:
                while isinstance(taken := self._take(item), Mailbox):
                    await taken.wait_for_room()
                outcomes.append(taken)
        late = TransportError(f"no room in a full mailbox within {timeout:g} s")
        outcomes.extend(NotWritten(late) for _ in range(len(items) - len(outcomes)))
        return outcomes

    def _take(self, item: Outgoing) -> Outcome | Mailbox:
        """What became of it; or the mailbox in which its sender has to wait for room."""
        try:
            if self._encodes and isinstance(item.content, Envelope):
                content = decode(item.encoder.encode(item.content))
                item = msgspec.structs.replace(item, content=content)
            if item.waits and item.address.purpose is Purpose.EVENT and item.due is None:
                for box in self._boxes.targets(item):
                    if box.full:
                        return box
            self.accept(item)
        except BuswayError as error:
            return NotWritten(error)
        return WRITTEN

    def accept(self, item: Outgoing, /) -> None:
        """Take an item whose sender does not wait."""
        if item.address.purpose is Purpose.DEAD:
            self._shelf.put(item)
        elif item.due is not None and item.due > self.clock.time():
            self._boxes.targets(item)  # an unknown group is an error now, not when it is due
            if self._later.send(item, item.due):
                self._boxes.wake()  # readers sleep until a later moment
        else:
            if item.address.purpose is Purpose.EVENT:
                self._history.add(item, self.clock.time())
            self._boxes.put(item)

    # --- what is held until its time ----------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        return self._held[0].due if self._held else None

    def hold(self, box: Mailbox, delivery: Delivery, /) -> None:
        """Deliver it again when it is due."""
        due = delivery.due if delivery.due is not None else self.clock.time()
        if self._later.deliver(delivery, box, due):
            self._boxes.wake()  # readers sleep until a later moment

    def pump(self, now: float, /) -> float | None:
        """Hand over what is due; when the next item is."""
        while held := self._later.pop(now):
            if held.box is not None and held.delivery is not None:
                held.box.append(held.delivery)
            elif held.item is not None and self._still_wanted(held.item):
                self.accept(held.item)
        return self.next_due

    def _still_wanted(self, item: Outgoing) -> bool:
        return item.address.group is None or item.address.group in self._boxes.by_group

    # --- groups -------------------------------------------------------------------------------

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[MemoryFeed | LeasedFeed]:
        return self._listen(group)

    @asynccontextmanager
    async def _listen(self, group: Group) -> AsyncGenerator[MemoryFeed | LeasedFeed]:
        box = self._boxes.by_group.get(group.name)
        if box is None:
            box = self._boxes.add(group)
            for item in self._history.since(group.start if group.durable else "latest"):
                if group.matches(item.content.type):  # type: ignore[union-attr]
                    box.put(item)
        lease = self._lease
        feed = MemoryFeed(self, box) if lease is None else LeasedFeed(self, box, lease)
        self.follow(box, feed, group)
        try:
            yield feed
        finally:
            feed.leave()
            self._boxes.leave(box, feed)

    def follow(self, box: Mailbox, owner: object, group: Group, /) -> None:
        """A member's patterns are these from now on."""
        self._boxes.follow(box, owner, group)

    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        box = self._boxes.by_group.get(group.name)
        return {} if box is None else {g.member: g.patterns for g in box.followed.values()}

    async def groups(self) -> Sequence[GroupState]:
        self.pump(self.clock.time())
        return [self._state(box) for box in self._boxes.by_group.values()]

    def _state(self, box: Mailbox) -> GroupState:
        later = self._later.moments(box.name)
        return GroupState(
            box.name,
            len(box.followed),
            len(box.ready),
            box.pending,
            len(later),
            min(later, default=None),
            self._shelf.count(box.name),
        )

    async def remove_group(self, name: str, /) -> bool:
        if name not in self._boxes.by_group:
            return False
        self._boxes.remove(self._boxes.deserted(name))
        self._later.forget(name)
        self._shelf.forget(name)
        return True

    async def rewind(self, group: str, to: Start, /) -> None:
        """Hand out again what history keeps from there on, after what waits and is older still."""
        box = self._boxes.deserted(group)
        self.pump(self.clock.time())
        box.forget_events(self._history.lacks(to))
        for item in self._history.since(to):
            if isinstance(item.content, Envelope) and box.matches(item.content.type):
                box.put(item)

    # --- reading without a group --------------------------------------------------------------

    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        source: Any = self._history if purpose is Purpose.EVENT else self._shelf
        return [a for a in source.addresses() if (a.purpose, a.group) == (purpose, group)]

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        source: Any = self._history if address.purpose is Purpose.EVENT else self._shelf
        for entry in source.read(address, after):
            yield entry

    async def discard(self, address: Address, position: str, /) -> bool:
        return self._shelf.remove(address, position)
