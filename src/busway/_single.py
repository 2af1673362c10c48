"""One delivery by itself: what cannot be taken at its word, and what did not simply return."""

from __future__ import annotations

from ._context import current
from ._crew import Crew
from ._failing import Failing
from ._handling import Handling
from ._routes import Routes
from ._suspects import Suspects
from ._tasks import cancelled_by_owner
from ._verdict import crashed
from .message import Envelope
from .transport import Delivery, Raw

__all__ = ["Single"]


class Single:
    """Each method ends a delivery, or has it wait, and returns the next of its lane, if one is
    parked."""

    def __init__(self, crew: Crew, routes: Routes, failing: Failing, suspects: Suspects) -> None:
        self._crew = crew
        self._routes = routes
        self._failing = failing
        self._suspects = suspects
        self.abandoned: list[Delivery] = []
        """Their handlers were cancelled; they are given back in the consumer's last words."""

    async def handle(self, delivery: Delivery, handling: Handling) -> Delivery | None:
        """Call the handler; what the hot loop does without this call."""
        content = delivery.content
        assert isinstance(content, Envelope)
        crew = self._crew
        crew.begin([delivery])
        current.set(content)
        try:
            result = await handling.invoke(content, delivery)
        except BaseException as error:
            return await self.raised(delivery, handling, error)
        if content.reply_to is not None:
            return await self.answer(delivery, handling, result)
        crew.acks.append(delivery)
        return crew.lanes.after(delivery)

    async def answer(
        self, delivery: Delivery, handling: Handling, result: object
    ) -> Delivery | None:
        """A request was handled."""
        self._crew.lanes.start(delivery)
        return await self._failing.answer(delivery, handling, result)

    async def raised(
        self, delivery: Delivery, handling: Handling, error: BaseException
    ) -> Delivery | None:
        """A handler did not return."""
        if cancelled_by_owner(error):
            # Neither success nor failure: no ack, no attempt, no letter. Given back at the end.
            self.abandoned.append(delivery)
            raise error
        # What is done about it may wait, and other workers take meanwhile.
        self._crew.lanes.start(delivery)
        return await self._failing.failed(delivery, handling, error)

    async def take(self, delivery: Delivery) -> Delivery | None:
        """What cannot be taken at its word: unreadable, unmatched, early, lost, or suspect."""
        content, failing = delivery.content, self._failing
        self._crew.lanes.start(delivery)
        if delivery.lost:
            return await self._suspects.lost(delivery)
        if isinstance(content, Raw):
            return await failing.raw(delivery, content)
        if delivery.due is not None and delivery.due > self._crew.runtime.clock.time():
            return failing.early(delivery, delivery.due)
        handling = self._routes.find(content.type)
        if handling is None:
            return await failing.unmatched(delivery, content)
        if delivery.delivered > 1:
            self._suspects.wary = True
            return await self._suspect(delivery, handling)
        return await self.handle(delivery, handling)

    async def _suspect(self, delivery: Delivery, handling: Handling) -> Delivery | None:
        retry = self._failing.retry_of(handling, delivery.content.type)  # type: ignore[union-attr]
        dead = crashed(delivery, retry)
        if dead is not None:
            return await self._failing.crashed(delivery, handling, dead)
        if not await self._suspects.isolate(delivery):
            return self._crew.lanes.after(delivery)
        try:
            if delivery.lost:  # while it waited for the others
                return await self._suspects.lost(delivery)
            following = await self.handle(delivery, handling)
            if self._crew.acks:
                await self._crew.flush()
        finally:
            self._suspects.rejoin()
        return following
