"""Publishing: seal, send, and say truly what became of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final

from ._context import current, inside
from ._options import due_of
from ._runtime import Runtime
from ._sealing import Route, Sealer
from .errors import MissingPower, PublishError, PublishUnknown, SendError, UsageError
from .message import Envelope, PublishOptions
from .middleware import Send
from .transport import WRITTEN, Live, Outcome, Outgoing, Unknown, Written

__all__ = ["Publisher", "Sealed", "may_wait"]

_CHUNK: Final = 1_000

Sealed = tuple[Envelope, Route, float | None]
"""What is to be sent, where to, and when it is due."""

_Failed = list[tuple[Any, BaseException]]

# A middleware of the publish side is given the envelope alone.
_due: ContextVar[float | None] = ContextVar("busway_due", default=None)


def may_wait() -> bool:
    """Whether who publishes here may be made to wait for room. A handler may not: it could be what
    makes the room. Asked of the worker, not of the event: the handler of a batch handles no one."""
    return not inside()


class Publisher:
    """The publish side of one bus."""

    def __init__(self, runtime: Runtime, sealer: Sealer, *, fail_open: bool) -> None:
        self.runtime = runtime
        self.sealer = sealer
        self.fail_open = fail_open
        self.through: Send | None = None
        """The publish side's middleware around ``send_alone``, where there is any."""
        self.watched = False

    async def publish(self, event: object, data: object, options: PublishOptions) -> Envelope:
        """Anything but the plain case, which the bus does itself."""
        parent = current.get()
        envelope, route = self.sealer.seal(event, data, options, parent)
        due = self.due(options) if options else None
        try:
            await self.pass_on(envelope, route, due, waits=may_wait())
        except SendError as error:
            self._say(error)
        return envelope

    def due(self, options: PublishOptions) -> float | None:
        """When what is published with these may be handled; None for at once.

        Raises OptionError, and MissingPower where nothing is kept until then.
        """
        now = self.runtime.clock.time()
        due = due_of(options, now)
        if due is not None and due > now and isinstance(self.runtime.transport, Live):
            raise MissingPower(
                f"delay=: {self.runtime.transport!r} keeps no events (power: Holds). Publish it "
                "when it is time, or use a transport that keeps them"
            )
        return due

    async def publish_many(self, events: Sequence[object]) -> list[Envelope]:
        """Seal all, then send all; none is sent when one cannot be sealed."""
        parent = current.get()
        sealed = [self.sealer.seal(event, None, {}, parent) for event in events]
        try:
            await self.send_all([(*each, None) for each in sealed], waits=may_wait())
        except SendError as error:
            self._say(error)
        return [envelope for envelope, _ in sealed]

    def _say(self, error: SendError) -> None:
        if not self.fail_open:
            raise error
        self.runtime.log.error("not published (fail_open): %s", error)

    async def pass_on(
        self, envelope: Envelope, route: Route, due: float | None, *, waits: bool
    ) -> None:
        """Send one through the publish side's middleware. Raises PublishError, PublishUnknown."""
        if self.through is None:
            await self.send(envelope, route, due, waits=waits)
            return
        token = _due.set(due)
        try:
            await self.through(envelope)
        finally:
            _due.reset(token)

    async def send_alone(self, envelope: Envelope) -> None:
        """What the publish side's middleware calls in the end."""
        route = self.sealer.route_to(envelope.type)
        await self.send(envelope, route, _due.get(), waits=may_wait())

    async def send(
        self, envelope: Envelope, route: Route, due: float | None, *, waits: bool
    ) -> None:
        """Send one. Raises PublishError or PublishUnknown."""
        runtime = self.runtime
        item = Outgoing(envelope, route.address, runtime.encoder, 1, due, None, waits)
        started = time.perf_counter()
        outcome: Outcome
        try:
            (outcome,) = await runtime.transport.send((item,), timeout=runtime.timeout)
        except UsageError:
            raise
        except Exception as error:
            outcome = Unknown(error)
        if outcome is WRITTEN and not self.watched:
            runtime.counters.published += 1
            return
        failed: _Failed = []
        unknown = self._judge([(item, outcome)], time.perf_counter() - started, failed)
        _raise(failed, unknown, 1)

    async def send_all(self, sealed: Sequence[Sealed], *, waits: bool) -> None:
        """Send several. Raises PublishUnknown if any of them may have arrived, else PublishError;
        ``failed`` has those that did not surely arrive."""
        failed: _Failed = []
        unknown = 0
        if self.through is None:
            for start in range(0, len(sealed), _CHUNK):
                unknown += await self._send_chunk(sealed[start : start + _CHUNK], failed, waits)
        else:
            for each in sealed:
                unknown += await self._try(each, failed, waits)
        _raise(failed, unknown, len(sealed))

    async def _send_chunk(self, sealed: Sequence[Sealed], failed: _Failed, waits: bool) -> int:
        runtime = self.runtime
        items = [
            Outgoing(envelope, route.address, runtime.encoder, 1, due, None, waits)
            for envelope, route, due in sealed
        ]
        started = time.perf_counter()
        outcomes: Sequence[Outcome]
        try:
            outcomes = await runtime.transport.send(items, timeout=runtime.timeout)
        except UsageError:
            raise
        except Exception as error:
            # Whatever an adapter lets through: any of them may have been written.
            outcomes = [Unknown(error)] * len(items)
        results = list(zip(items, outcomes, strict=True))
        return self._judge(results, time.perf_counter() - started, failed)

    async def _try(self, sealed: Sealed, failed: _Failed, waits: bool) -> int:
        envelope, route, due = sealed
        try:
            await self.pass_on(envelope, route, due, waits=waits)
        except SendError as error:
            failed.extend(error.failed or [(envelope, error)])
            return int(isinstance(error, PublishUnknown))
        return 0

    def _judge(
        self, results: Sequence[tuple[Outgoing, Outcome]], seconds: float, failed: _Failed
    ) -> int:
        """Count and tell what arrived, add to ``failed`` what did not; how many of it may have."""
        counters = self.runtime.counters
        unknown, before = 0, len(failed)
        for item, outcome in results:
            if isinstance(outcome, Written):
                counters.published += 1
                if self.watched:
                    self.runtime.tell("published", item.content, item.address.channel, seconds)
                continue
            failed.append((item.content, outcome.error))
            unknown += isinstance(outcome, Unknown)
        counters.publish_unknown += unknown
        counters.publish_failed += len(failed) - before - unknown
        return unknown


def _raise(failed: _Failed, unknown: int, total: int) -> None:
    if not failed:
        return
    first = failed[0][1]
    count = f"{len(failed)} of {total} events: " if total > 1 else ""
    if unknown:
        which = (
            "may have been written"
            if unknown == len(failed)
            else (f"{unknown} of them may have been written, the others were not sent")
        )
        raise PublishUnknown(f"{count}{which}: {first}", failed) from first
    if total == 1 and isinstance(first, PublishError):
        first.failed = tuple(failed)
        raise first
    raise PublishError(f"{count}not sent: {first}", failed) from first
