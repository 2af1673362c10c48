"""What a handler sees of what travelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar, Unpack

from ._envelope import Envelope
from ._options import PublishOptions

__all__ = ["BusPart", "Message", "Pausable"]

E = TypeVar("E")


class _Lent(Protocol):
    """The part of a delivery that a message needs."""

    attempt: int

    @property
    def lost(self) -> bool: ...

    @property
    def fence(self) -> int | None: ...


class Pausable(Protocol):
    """What a handler or a middleware may do with ``message.subscription``."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class BusPart(Protocol):
    """The part of a bus that a message needs."""

    def _child(
        self, parent: Envelope, event: object, data: object, options: PublishOptions
    ) -> Envelope: ...

    async def publish(self, event: object, /, **options: Unpack[PublishOptions]) -> Envelope: ...


class Message(Generic[E]):
    """One delivery as its handler sees it: the second parameter of a handler, if it takes one.

    A handler never acknowledges: returning is success, raising is a failed attempt.
    """

    __slots__ = ("_bus", "_lent", "data", "envelope", "group", "subscription")

    def __init__(
        self,
        envelope: Envelope,
        data: E,
        group: str,
        lent: _Lent,
        bus: BusPart,
        subscription: Pausable | None = None,
    ) -> None:
        self.envelope = envelope
        """What travelled."""
        self.data = data
        """The event, converted to what the handler's first parameter asks for."""
        self.group = group
        """The name of the group this delivery belongs to."""
        self.subscription = subscription
        """What ``bus.add`` returned for this handler: ``pause``, ``resume``, ``stop``."""
        self._lent = lent
        self._bus = bus

    @property
    def attempt(self) -> int:
        """Which attempt this is; the first is 1."""
        return self._lent.attempt

    @property
    def lost(self) -> bool:
        """Whether the loan ran out or was revoked: somebody else may be handling this event too."""
        return self._lent.lost

    @property
    def fence(self) -> int | None:
        """A number that is greater for each later owner of this event's partition or shard.

        Store it with what the handler writes elsewhere, and refuse a write whose number is below
        the stored one: then a process that was only slow cannot overwrite what its successor wrote.
        None where the transport gives a key to several members at once, as ``memory://`` does.
        """
        return self._lent.fence

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def topic(self) -> str:
        return self.envelope.type

    @property
    def key(self) -> str | None:
        return self.envelope.subject

    @property
    def headers(self) -> Mapping[str, str]:
        return self.envelope.headers

    @property
    def correlation_id(self) -> str:
        return self.envelope.correlation_id

    def child(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """An envelope caused by this one, not sent yet.

        It inherits correlation, tenant, user and trace; never key, aggregate, resource or
        idempotency key.
        """
        # Not public on the bus: a child is made from a message.
        make = self._bus._child  # pyright: ignore[reportPrivateUsage]
        return make(self.envelope, event, data, options)

    async def publish(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish a child of this message. The same errors as ``Bus.publish``."""
        when: PublishOptions = {}
        if "delay" in options:
            when["delay"] = options.pop("delay")  # of the sending, not of the envelope
        return await self._bus.publish(self.child(event, data, **options), **when)

    def __repr__(self) -> str:
        return f"<Message {self.topic} {self.id} group={self.group!r} attempt={self.attempt}>"
