"""What is done about a delivery that was not simply handled: failed, unmatched, early and so on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from random import random

import msgspec

from ._crew import Crew
from ._handling import Handling
from ._keeper import Keeper
from ._members import Members
from ._replies import answer
from ._settle import LetGo
from ._verdict import Again, Dead, Retry, judge, told
from .errors import RetryLater, Undecodable
from .message import Envelope
from .transport import Delivery, Raw, Story

__all__ = ["Failing", "Waits"]

Waits = dict[Hashable, float]
"""Until when those that failed together wait, by lane: one moment for all of a lane, or its order
would be drawn by lot."""


class Failing:
    """Each method settles or parks a delivery and returns the next of its lane if one is parked."""

    def __init__(self, crew: Crew, keeper: Keeper, members: Members) -> None:
        self._crew = crew
        self._keeper = keeper
        self._members = members
        self._runtime = crew.runtime

    def retry_of(self, handling: Handling | None, topic: str) -> Retry:
        """The subscription's policy, else the event's, else the bus's."""
        if handling is not None and handling.retry is not None:
            return handling.retry
        return self._runtime.retry_of(topic)

    async def failed(
        self,
        delivery: Delivery,
        handling: Handling,
        error: BaseException,
        waits: Waits | None = None,
    ) -> Delivery | None:
        """A handler raised; ``waits`` is that of the batch."""
        runtime, content = self._runtime, delivery.content
        assert isinstance(content, Envelope)
        if not isinstance(error, Exception):
            runtime.log.critical(
                "handler %s raised %s, which is meant to end a process; that is a failed attempt",
                handling.name,
                type(error).__name__,
                exc_info=error,
            )
        now = runtime.clock.time()
        if isinstance(error, RetryLater) and not error.counts:
            return await self._wait_uncounted(delivery, handling, error.after, waits)
        runtime.counters.failed += 1
        story = told(error, delivery, self._story(delivery, handling), now)
        retry = self.retry_of(handling, content.type)
        verdict = judge(error, story, retry, now, random())
        if not isinstance(verdict, Again):
            observes = handling.observes(content.type, error)
            return await self.dead(delivery, story, error, verdict.reason, answers=not observes)
        in_place = self._in_place(verdict.after, retry)
        runtime.counters.retried += 1
        runtime.tell(
            "retried",
            content,
            self._crew.group.name,
            handling.name,
            delivery.attempt,
            verdict.after,
            in_place,
            error,
            delivery.channel,
        )
        if in_place:
            delivery.story = story
            delivery.attempt += 1
            self.wait(delivery, now + verdict.after, waits)
            return None
        return await self._settled(
            delivery, lambda: self._crew.settler.again(delivery, verdict.after, story)
        )

    async def _wait_uncounted(
        self, delivery: Delivery, handling: Handling, after: float, waits: Waits | None
    ) -> Delivery | None:
        """No attempt was made: the same one is made later."""
        content = delivery.content
        assert isinstance(content, Envelope)
        if self._in_place(after, self.retry_of(handling, content.type)):
            self.wait(delivery, self._runtime.clock.time() + after, waits)
            return None
        story = self._story(delivery, handling)
        return await self._settled(
            delivery, lambda: self._crew.settler.again(delivery, after, story, counts=False)
        )

    def _in_place(self, after: float, retry: Retry) -> bool:
        policy = self._crew.policy
        return policy.ordered or policy.broadcast or after <= retry.in_place

    def wait(self, delivery: Delivery, until: float, waits: Waits | None = None) -> None:
        """Keep it, and its lane closed, until its next attempt."""
        if waits is not None and delivery.lane is not None:
            until = waits.setdefault(delivery.lane, until)
        self._crew.lanes.close(delivery)
        self._keeper.at(until, delivery, in_lane=True)

    def early(self, delivery: Delivery, due: float) -> Delivery | None:
        """The transport cannot hold it until it is due, so it is kept here; its lane stays open."""
        following = self._crew.lanes.park(delivery)
        self._keeper.at(due, delivery, in_lane=False)
        return following

    async def dead(
        self,
        delivery: Delivery,
        story: Story,
        error: BaseException | None,
        reason: str,
        *,
        answers: bool = True,
    ) -> Delivery | None:
        """Set aside, and everybody told; whoever asked only when ``answers``."""
        crew, runtime = self._crew, self._runtime
        if crew.policy.broadcast:
            runtime.drop(delivery.content, crew.group.name, f"broadcast is not kept: {reason}")
            return await self._settled(
                delivery, lambda: crew.settler.forsake(delivery, story, answers=answers)
            )
        return await self._settled(
            delivery, lambda: crew.settler.dead(delivery, story, error, reason, answers=answers)
        )

    async def crashed(self, delivery: Delivery, handling: Handling, dead: Dead) -> Delivery | None:
        """Handed out again and again, and nobody ever came back."""
        story = self._story(delivery, handling)
        now = self._runtime.clock.time()
        first = now if story.first_failed is None else story.first_failed
        story = msgspec.structs.replace(
            story, kind="Crashed", reason=dead.reason, first_failed=first, last_failed=now
        )
        content = delivery.content
        observes = isinstance(content, Envelope) and handling.observes(content.type, dead)
        return await self.dead(delivery, story, None, dead.reason, answers=not observes)

    async def answer(
        self, delivery: Delivery, handling: Handling, result: object
    ) -> Delivery | None:
        """A request was handled: the reply goes out before the request is acknowledged."""
        crew, request, runtime = self._crew, delivery.content, self._runtime
        assert isinstance(request, Envelope)
        if handling.observes(request.type, result):
            crew.acks.append(delivery)
            return crew.lanes.after(delivery)
        silent = handling.returns is None
        reply = answer(request, result, runtime.service, runtime.clock.time(), confirms=silent)
        try:
            await crew.settler.reply(request, reply)
        except LetGo:
            return await self._let_go(delivery)
        crew.acks.append(delivery)
        return crew.lanes.after(delivery)

    async def raw(self, delivery: Delivery, content: Raw) -> Delivery | None:
        """Bytes that are no envelope."""
        now = self._runtime.clock.time()
        error = Undecodable(content.reason or "not an envelope")
        story = told(error, delivery, self._story(delivery, None), now)
        return await self.dead(delivery, story, None, str(error))

    async def unmatched(self, delivery: Delivery, content: Envelope) -> Delivery | None:
        """No handler here: another member's, or nobody's."""
        crew = self._crew
        story = self._story(delivery, None)
        try:
            theirs = await crew.settler.insist(
                [delivery], lambda: self._members.others_match(content.type)
            )
        except LetGo:
            # Who cannot ask must not say that it is done.
            return await self._let_go(delivery)
        if theirs:
            # Not an attempt: it goes to the group's retry address for the member that handles it.
            return await self._settled(
                delivery, lambda: crew.settler.again(delivery, 0.1, story, counts=False)
            )
        if delivery.story is not None:
            reason = "no handler of this group matches its topic any more"
            return await self.dead(delivery, story, None, reason)
        self._runtime.counters.unmatched += 1
        # With what was handled, in one call: in a shared channel nearly all may be nobody's here.
        crew.passed_over += 1
        crew.acks.append(delivery)
        return crew.lanes.after(delivery)

    def _story(self, delivery: Delivery, handling: Handling | None) -> Story:
        story = delivery.story or Story(self._crew.group.name)
        if handling is None or story.handler == handling.name:
            return story
        # Handlers of equal patterns take turns: the story names the last.
        return msgspec.structs.replace(story, handler=handling.name)

    async def _settled(
        self, delivery: Delivery, settle: Callable[[], Awaitable[object]]
    ) -> Delivery | None:
        crew = self._crew
        try:
            await settle()
        except LetGo:
            return await self._let_go(delivery)
        except BaseException:
            crew.forget([delivery])
            raise
        crew.forget([delivery])
        return crew.lanes.after(delivery)

    async def _let_go(self, delivery: Delivery) -> Delivery | None:
        """It comes again, and with it what is behind it in its lane, which would overtake it."""
        crew, lane = self._crew, delivery.lane
        behind: list[Delivery] = []
        if lane is not None and not delivery.lost:
            behind = crew.lanes.withdraw(lambda each: each.lane == lane)
        await crew.returns.give([delivery, *behind])
        return crew.lanes.after(delivery)
