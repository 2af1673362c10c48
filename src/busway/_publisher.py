"""Publishing: seal, send, and say truly what became of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from ._context import current
from ._runtime import Runtime
from ._sealing import Route, Sealer, due_of
from .errors import PublishError, PublishUnknown, SendError
from .message import Envelope, PublishOptions
from .middleware import Send
from .transport import WRITTEN, Outcome, Outgoing, Unknown, Written

__all__ = ["Publisher"]

_CHUNK: Final = 500


class Publisher:
    """The publish side of one bus."""

    def __init__(self, runtime: Runtime, sealer: Sealer, *, fail_open: bool) -> None:
        self.runtime = runtime
        self.sealer = sealer
        self.fail_open = fail_open
        self.through: Send | None = None
        """The publish side's middleware around ``_send_alone``, where there is any."""
        self.watched = False

    async def publish(
        self, event: object, data: object, options: PublishOptions
    ) -> Envelope:
        """Anything but the plain case, which the bus does itself."""
        parent = current.get()
        envelope, route = self.sealer.seal(event, data, options, parent)
        due = due_of(options, self.runtime.clock.time())
        try:
            if self.through is not None and due is None:
                await self.through(envelope)
            else:
                await self.send(envelope, route, due, waits=parent is None)
        except SendError as error:
            if not self.fail_open:
                raise
            self.runtime.log.error("not published (fail_open): %s", error)
        return envelope

    async def send_alone(self, envelope: Envelope) -> None:
        """What the publish side's middleware calls in the end."""
        route = self.sealer.route_to(envelope.type)
        await self.send(envelope, route, None, waits=current.get() is None)

    async def send(
        self, envelope: Envelope, route: Route, due: float | None, *, waits: bool
    ) -> None:
        """Send one. Raises PublishError or PublishUnknown."""
        runtime = self.runtime
        item = Outgoing(envelope, route.address, runtime.encoder, 1, due, None, waits)
        started = time.perf_counter()
        (outcome,) = await runtime.transport.send((item,), timeout=runtime.timeout)
        if outcome is not WRITTEN:
            self.judge([(item, outcome)])
        runtime.counters.published += 1
        if self.watched:
            seconds = time.perf_counter() - started
            runtime.tell("published", envelope, route.address.channel, seconds)

    async def publish_many(self, events: Sequence[object]) -> list[Envelope]:
        """Seal all, then send all; none is sent when one cannot be sealed."""
        parent = current.get()
        sealed = [self.sealer.seal(event, None, {}, parent) for event in events]
        if self.through is not None:
            for envelope, _ in sealed:
                await self.through(envelope)
            return [envelope for envelope, _ in sealed]
        runtime = self.runtime
        items = [
            Outgoing(envelope, route.address, runtime.encoder, waits=parent is None)
            for envelope, route in sealed
        ]
        results: list[tuple[Outgoing, Outcome]] = []
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            outcomes = await runtime.transport.send(chunk, timeout=runtime.timeout)
            results.extend(zip(chunk, outcomes, strict=True))
        try:
            self.judge(results)
        except SendError as error:
            if not self.fail_open:
                raise
            runtime.log.error("not published (fail_open): %s", error)
        return [envelope for envelope, _ in sealed]

    def judge(self, results: Sequence[tuple[Outgoing, Outcome]]) -> None:
        """Count what arrived and raise for what did not: PublishUnknown if any may have arrived."""
        counters = self.runtime.counters
        failed: list[tuple[object, BaseException]] = []
        unknown = 0
        for item, outcome in results:
            if isinstance(outcome, Written):
                counters.published += len(results) > 1
                continue
            failed.append((item.content, outcome.error))
            unknown += isinstance(outcome, Unknown)
        if not failed:
            return
        counters.publish_unknown += unknown
        counters.publish_failed += len(failed) - unknown
        first = failed[0][1]
        count = f"{len(failed)} of {len(results)} events: " if len(results) > 1 else ""
        if unknown:
            raise PublishUnknown(f"{count}may have been written: {first}", failed) from first
        if len(results) == 1 and isinstance(first, PublishError):
            raise first
        raise PublishError(f"{count}not sent: {first}", failed) from first
