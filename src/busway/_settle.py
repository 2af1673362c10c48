"""Carries out verdicts: the only acknowledgements and the only re-sends of the bus.

In each function the acknowledgement is the last thing done: a crash before it costs a duplicate,
never an event. A broker that cannot be told is told again; see ``_insist``.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import msgspec

from ._blame import blame
from ._insist import LetGo, answered, insist
from ._letter import DeadLetter, letter
from ._replies import failed, failure
from ._runtime import Runtime
from ._tasks import cancelled_by_owner
from ._verdict import text_of
from .errors import PublishError, TransportError
from .message import Envelope
from .transport import (
    Address,
    Delivery,
    Feed,
    Moves,
    NotWritten,
    Outgoing,
    Purpose,
    Redelivers,
    Story,
    Written,
)

__all__ = ["LetGo", "Settler"]

T = TypeVar("T")

_TRACEBACK_KEPT = 8192
_ON_DEAD_PATIENCE = 10.0


class Settler:
    """The settling of one group's deliveries."""

    def __init__(self, runtime: Runtime, feed: Feed, group: str) -> None:
        self._runtime = runtime
        self._feed = feed
        self._group = group
        # A power is looked for once, not at each verdict.
        self._redelivers = feed if isinstance(feed, Redelivers) else None
        self._moves = feed if isinstance(feed, Moves) else None

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Done with these. Raises LetGo."""
        try:  # without what insisting needs: nearly always it is told at once
            lost = await self._feed.ack(deliveries)
        except TransportError:
            lost = await self.insist(deliveries, lambda: self._feed.ack(deliveries))
        except BaseException as error:
            blame(self._runtime.transport, "ack", error)
        if lost:
            self._runtime.counters.lost += lost

    async def release(self, deliveries: Sequence[Delivery], *, again: bool = False) -> bool:
        """Give these back unhandled. False: the broker could not be told now, and may be later;
        said once, which it is not when it is tried ``again``."""
        try:
            await answered(self._runtime, "release", lambda: self._feed.release(deliveries))
        except TransportError as error:
            passes = error.retryable and not all(each.lost for each in deliveries)
            if not passes or not again:
                self._runtime.log.warning(
                    "group %r: %d deliveries could not be given back now, %s: %s",
                    self._group,
                    len(deliveries),
                    "trying on" if passes else "and come again when their loan ends",
                    error,
                )
            return not passes
        except BaseException as error:
            blame(self._runtime.transport, "release", error)
        return True

    async def again(
        self, delivery: Delivery, after: float, story: Story, *, counts: bool = True
    ) -> None:
        """Another attempt after ``after`` seconds, or the same one if this one did not count; the
        lane is free meanwhile. Raises LetGo."""
        if self._redelivers is not None:
            redelivers, attempt = self._redelivers, delivery.attempt
            delivery.attempt -= not counts  # the broker counts it up
            try:
                await self.insist([delivery], lambda: redelivers.redeliver(delivery, after, story))
            finally:
                delivery.attempt = attempt
            return
        due = self._runtime.clock.time() + after
        item = self._item(delivery, Purpose.RETRY, delivery.attempt + counts, due, story)
        await self._hand_over(delivery, item)

    async def dead(
        self,
        delivery: Delivery,
        story: Story,
        error: BaseException | None,
        reason: str,
        *,
        answers: bool = True,
    ) -> None:
        """Set aside for this group, with the whole story; whoever asked is told, unless the handler
        was none that answers. Raises LetGo."""
        story = msgspec.structs.replace(story, verdict=reason)
        if error is not None:
            story = msgspec.structs.replace(story, traceback=_trace_of(error))
        if answers:
            await self._reply_failure(delivery, story)
        item = self._item(delivery, Purpose.DEAD, delivery.attempt, None, story)
        if not await self._hand_over(delivery, item):
            return  # it is somebody else's now, and nothing was written
        runtime, content = self._runtime, delivery.content
        runtime.counters.dead += 1
        details = (story.handler, story.attempts, story.kind, story.reason or reason, error)
        runtime.tell("dead_lettered", content, self._group, *details, delivery.channel)
        if runtime.on_dead is None and not runtime.watchers.dead_lettered:
            self._log_dead(content, story, reason)
        await self._call_on_dead(letter("", delivery.channel, content, story))

    def _log_dead(self, content: object, story: Story, reason: str) -> None:
        """Who listens to no dead letters would wonder where the events are."""
        # As text, which is had already: an application's exception may break who formats it.
        trace = f"\n{story.traceback.rstrip()}" if story.traceback else ""
        self._runtime.log.error(
            "%s became a dead letter of group %r, attempt %d: %s%s",
            content.type if isinstance(content, Envelope) else "what is no envelope",
            self._group,
            story.attempts,
            reason,
            trace,
        )

    async def forsake(self, delivery: Delivery, story: Story, *, answers: bool = True) -> None:
        """Given up without a letter. Raises LetGo."""
        if answers:
            await self._reply_failure(delivery, story)
        await self.ack([delivery])

    async def _call_on_dead(self, dead: DeadLetter) -> None:
        """The letter is written: whatever this does, it stays."""
        runtime = self._runtime
        if runtime.on_dead is None:
            return
        with anyio.move_on_after(_ON_DEAD_PATIENCE) as scope:
            try:
                result = runtime.on_dead(dead)
                if result is not None:
                    await result
            except BaseException as error:
                if cancelled_by_owner(error):
                    raise
                runtime.log.exception("on_dead failed for a letter of group %r", self._group)
        if scope.cancelled_caught:
            runtime.log.error("on_dead took over %g s and was stopped", _ON_DEAD_PATIENCE)

    async def reply(self, request: Envelope, answer: Envelope) -> None:
        """Send an answer to whoever asked. Nobody awaiting it any more is no failure."""
        address = Address("reply", Purpose.REPLY, request.reply_to)
        item = Outgoing(answer, address, self._runtime.encoder, waits=False)
        refused = await self.insist([], lambda: self._try_reply(item))
        if isinstance(refused, PublishError) and not failed(answer):
            # The answer cannot be written. Whoever asked shall not wait for it in vain.
            kind, reason = type(refused).__name__, text_of(refused)
            await self.reply(request, failure(request, kind, reason, *self._stamp()))
        elif refused is not None:
            group = request.reply_to or ""
            self._runtime.drop(answer, group, f"nobody can have this reply: {refused}")

    async def _try_reply(self, item: Outgoing) -> BaseException | None:
        (outcome,) = await self._runtime.transport.send([item], timeout=self._runtime.timeout)
        if isinstance(outcome, Written):
            return None
        if _may_pass(outcome.error):
            raise TransportError(str(outcome.error)) from outcome.error
        return outcome.error

    def _stamp(self) -> tuple[str, float]:
        return self._runtime.service, self._runtime.clock.time()

    async def _reply_failure(self, delivery: Delivery, story: Story) -> None:
        request = delivery.content
        if isinstance(request, Envelope) and request.reply_to is not None:
            await self.reply(request, failure(request, story.kind, story.reason, *self._stamp()))

    def _item(
        self, delivery: Delivery, purpose: Purpose, attempt: int, due: float | None, story: Story
    ) -> Outgoing:
        address = Address(delivery.channel, purpose, self._group)
        encoder = self._runtime.resender
        return Outgoing(delivery.content, address, encoder, attempt, due, story, waits=False)

    async def _hand_over(self, delivery: Delivery, item: Outgoing) -> bool:
        """Whether it was written; not, if the loan was lost before."""
        if self._moves is not None:
            moves = self._moves
            moved = await self.insist([delivery], lambda: moves.move(delivery, item))
            self._runtime.counters.lost += not moved
            return moved
        await self.insist([delivery], lambda: self._send(item))
        # Last, always.
        await self.ack([delivery])
        return True

    async def _send(self, item: Outgoing) -> None:
        (outcome,) = await self._runtime.transport.send([item], timeout=self._runtime.timeout)
        if not isinstance(outcome, Written):
            # Unknown is sent again, too: a second copy is a duplicate, none is a loss.
            final = isinstance(outcome, NotWritten) and not _may_pass(outcome.error)
            raise TransportError(str(outcome.error), retryable=not final) from outcome.error

    async def insist(self, deliveries: Sequence[Delivery], call: Callable[[], Awaitable[T]]) -> T:
        """Call until the broker answers. Raises LetGo."""
        return await insist(self._runtime, self._group, deliveries, call)


def _trace_of(error: BaseException) -> str:
    """Its traceback, bounded, and whatever the error does when it is asked about itself."""
    try:
        text = "".join(traceback.format_exception(error, limit=-50))
    except Exception as broken:
        text = "".join(traceback.format_tb(error.__traceback__, limit=-50))
        text += f"its text cannot be had: {type(broken).__name__}"
    return text[-_TRACEBACK_KEPT:]


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TransportError) and error.retryable
