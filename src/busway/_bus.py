"""The bus: what an application holds."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from ._dead import DeadLetters
from ._describing import Describing
from ._host import State
from ._living import Living
from ._parts import Parts
from ._publishing import Publishing
from ._reports import Stats, Topology, stats_of, topology_of
from ._runtime import OnDead
from ._sealing import Validate
from ._settings import Settings, service_of
from ._spec import check_start
from ._subscribing import Subscribing
from ._verdict import Retry
from .codec import Codec
from .errors import MissingPower
from .middleware import Hooks, Mark, Middleware
from .transport import Clock, GroupState, ManagesGroups, Rewinds, Start, Transport

__all__ = ["Bus"]


class Bus(Publishing, Subscribing, Living, Describing):
    """An event bus: in this process, or, by another URL, on a broker.

    ```python
    from busway import Bus

    bus = Bus("memory://", service="shop")

    @bus.subscribe("order.*", concurrency=8)
    async def charge(order: dict) -> None: ...

    async with bus:
        await bus.publish("order.placed", {"order_id": "o-1", "total": 99.5})
    ```

    Args:
        transport: A URL (``memory://``, ``null://``, or a scheme an installed adapter brings), or a
            transport made in code. Several buses may share one.
        service: The name of this service: the source of its events, the first part of its groups'
            default names. A broker's URL requires one.
        channels: Where topics are kept: channels by pattern. Else a topic's first segment.
        retry: For subscriptions and events that have no policy of their own.
        middleware: Around every handler, the first outermost; ``publishing`` and ``trace`` stand
            here too.
        codec: How envelopes are written: ``"json"``, ``"msgpack"``, or a ``Codec``. Both are read.
        fail_open: ``publish`` logs and counts what it could not send, instead of raising.
        publish_only: Subscribing is an error.
        on_dead: Called with each dead letter, after it was written. It cannot stop the letter.
        logger: For the bus's own messages; else ``logging.getLogger("busway")``.
        validate: What happens to data published by name that does not fit the class declared for
            its topic: ``"reject"`` raises InvalidEvent, ``"warn"`` logs, ``"off"`` does not look.
        max_size: Bytes of an encoded envelope at most. A ``JsonCodec`` or ``MsgpackCodec`` given as
            an object has a limit of its own.
        publish_timeout: Seconds a publish may take at most.
        max_in_flight: Deliveries a group holds in this process at most.
        emit_buffer: Events that ``emit`` keeps at most.
        clock: Where the time comes from; tests bring a virtual one.

    Raises:
        UnknownTransport: nobody is installed for the URL's scheme.
        OptionError: an option is out of range.
    """

    def __init__(
        self,
        transport: str | Transport = "memory://",
        *,
        service: str | None = None,
        channels: Mapping[str, str] | None = None,
        retry: Retry = Retry(),  # noqa: B008  it is frozen
        middleware: Sequence[Middleware | Mark] = (),
        codec: str | Codec = "json",
        fail_open: bool = False,
        publish_only: bool = False,
        on_dead: OnDead | None = None,
        logger: logging.Logger | None = None,
        validate: Validate = "reject",
        max_size: int = 1_048_576,
        publish_timeout: float = 30.0,
        max_in_flight: int = 1000,
        emit_buffer: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        settings = Settings(
            service=service_of(transport, service),
            channels=channels,
            retry=retry,
            middleware=middleware,
            codec=codec,
            fail_open=fail_open,
            on_dead=on_dead,
            logger=logger,
            validate=validate,
            max_size=max_size,
            publish_timeout=publish_timeout,
            max_in_flight=max_in_flight,
            emit_buffer=emit_buffer,
            clock=clock,
        )
        self._publish_only = publish_only
        parts = Parts(transport, settings)
        parts.host.service(parts.emitter.run)
        parts.host.before_close.append(parts.emitter.flush)
        self._prepare(parts)

    @property
    def service(self) -> str:
        return self._service

    @property
    def running(self) -> bool:
        """Whether it takes events."""
        return self._host.state is State.RUNNING

    def stats(self) -> Stats:
        """What was counted since the bus was made, and its groups now."""
        parts = self._parts
        runners = list(parts.groups.runners.values())
        runtime = parts.runtime
        return stats_of(parts.host.state.value, runtime.counters, runners, runtime.transport)

    def topology(self) -> Topology:
        """Every subscription of this bus."""
        return topology_of(self._service, list(self._parts.groups.runners.values()))

    def dead_letters(self, group: str) -> DeadLetters:
        """The dead letters of a group. Raises MissingPower when the transport cannot read them."""
        return DeadLetters(self._parts.runtime, group)

    @contextmanager
    def watch(self, hooks: Hooks) -> Generator[None, None, None]:
        """Have these hooks called until the context is left: what ``trace`` does for the whole life
        of a bus, for a while, whether the bus runs or not. Meanwhile each event costs what a trace
        costs; afterwards nothing."""
        self._parts.watch(hooks)
        try:
            yield
        finally:
            self._parts.unwatch(hooks)

    async def groups(self) -> Sequence[GroupState]:
        """Every group the transport knows, with its lag. Raises MissingPower, TransportError."""
        return await self._manages().groups()

    async def remove_group(self, name: str) -> bool:
        """End a group: what waits for it and its dead letters are gone. False when there was none.

        Raises MissingPower, and TransportError while a member listens.
        """
        return await self._manages().remove_group(name)

    async def rewind(self, group: str, *, to: Start) -> None:
        """Move a group's place among the events while nobody listens in it, in any process: it is
        handed out what is kept from there on, handled before or not, and nothing that is older.

        ``to`` is ``"earliest"``, ``"latest"``, or a datetime with a time zone: what was sent then
        or later. What waits for another attempt stays, as do the dead letters.

        Raises MissingPower, OptionError, and TransportError while a member listens, or when there
        is no such group.
        """
        check_start(to, "to")
        transport = self._parts.runtime.transport
        if not isinstance(transport, Rewinds):
            raise MissingPower(f"{type(transport).__name__} cannot move groups (power: Rewinds)")
        await transport.rewind(group, to)

    def _manages(self) -> ManagesGroups:
        transport = self._parts.runtime.transport
        if not isinstance(transport, ManagesGroups):
            raise MissingPower(
                f"{type(transport).__name__} cannot list or remove groups (power: ManagesGroups)"
            )
        return transport

    def __repr__(self) -> str:
        count = sum(len(r.subscriptions) for r in self._parts.groups.runners.values())
        state = self._host.state.value
        return f"<Bus {self._service!r} on {self.transport!r}: {state}, {count} subscriptions>"
