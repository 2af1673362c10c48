"""Transports that are wrong in what they send."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import msgspec

from busway.errors import TransportError
from busway.message import Envelope
from busway.transport import (
    WRITTEN,
    NotWritten,
    Outcome,
    Outgoing,
    Purpose,
)

from ._broken import BrokenLog

__all__ = [
    "AnswersInAnyOrder",
    "ChangesTheIdOnRetry",
    "ChangesTheTime",
    "DropsTheHeaderThatIsEmpty",
    "DropsTheTenant",
    "FirstFailureStopsTheRest",
    "ForgetsTheAttempt",
    "ForgetsTheDueTime",
    "ForgetsTheStory",
    "HidesWhyItWasNotWritten",
    "IgnoresTheTimeout",
    "LosesTheTailAtClose",
    "ReportsWrittenWithoutWriting",
    "RunsOverTheEarlierOnes",
    "SendsAgainWhenCancelled",
    "SendsLargeEventsOnlyInPart",
    "SendsTwice",
]


class Rewriting(BrokenLog):
    """Sends something else in place of an item."""

    def rewrite(self, item: Outgoing) -> Outgoing:
        raise NotImplementedError

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        return await super().send([self.rewrite(item) for item in items], timeout=timeout)


def _with(item: Outgoing, **changes: object) -> Outgoing:
    """The item with another envelope."""
    if not isinstance(item.content, Envelope):
        return item
    return msgspec.structs.replace(item, content=msgspec.structs.replace(item.content, **changes))


class SendsTwice(BrokenLog):
    caught_by = (
        "test_each_item_is_sent_once",
        "test_fifty_publishers_and_steady_members_make_no_duplicate",
    )

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        await super().send(items, timeout=timeout)
        return await super().send(items, timeout=timeout)


class ReportsWrittenWithoutWriting(BrokenLog):
    """A buffer that nobody flushes."""

    caught_by = (
        "test_written_means_that_the_broker_has_it",
        "test_fifty_publishers_and_members_that_come_and_go_lose_nothing",
    )

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        await anyio.lowlevel.checkpoint()
        return [WRITTEN for _ in items]


class LosesTheTailAtClose(BrokenLog):
    """Flushed every eight items, but not when it is closed."""

    caught_by = ("test_what_was_written_is_there_after_the_last_user_left",)

    def __init__(self) -> None:
        super().__init__()
        self._buffer: list[Outgoing] = []

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        self._buffer.extend(items)
        full = len(self._buffer) // 8 * 8
        await super().send(self._buffer[:full], timeout=timeout)
        del self._buffer[:full]
        return [WRITTEN for _ in items]

    async def __aexit__(self, *exc: object) -> None:
        self._buffer.clear()
        await super().__aexit__(*exc)


class FirstFailureStopsTheRest(BrokenLog):
    caught_by = ("test_one_item_that_fails_does_not_keep_the_others_from_being_sent",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for item in items:
            if outcomes and isinstance(outcomes[-1], NotWritten):
                outcomes.append(outcomes[-1])
            else:
                outcomes.extend(await super().send([item], timeout=timeout))
        return outcomes


class AnswersInAnyOrder(BrokenLog):
    """Those that failed first, as a client's batch call reports them."""

    caught_by = ("test_the_outcomes_are_in_the_order_of_the_items",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes = await super().send(items, timeout=timeout)
        return sorted(outcomes, key=lambda outcome: not isinstance(outcome, NotWritten))


class HidesWhyItWasNotWritten(BrokenLog):
    caught_by = ("test_an_item_that_cannot_be_encoded_is_not_written_with_that_error",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        return [
            NotWritten(TransportError("failed")) if isinstance(outcome, NotWritten) else outcome
            for outcome in await super().send(items, timeout=timeout)
        ]


class IgnoresTheTimeout(BrokenLog):
    """A full buffer makes the sender wait, for as long as it takes."""

    caught_by = ("test_it_returns_within_the_timeout",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        if len(items) > 1000:
            await anyio.sleep_forever()
        return await super().send(items, timeout=timeout)


class SendsAgainWhenCancelled(BrokenLog):
    """Takes a cancellation for a failure of the broker, and tries again before it gives up."""

    caught_by = ("test_cancelled_it_may_have_sent_any_of_them",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes = await super().send(items, timeout=timeout)
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await super().send(items, timeout=timeout)
            raise
        return outcomes


class RunsOverTheEarlierOnes(BrokenLog):
    """Small batches are sent at once and overtake what a large one still holds."""

    caught_by = (
        "test_items_of_one_key_and_address_keep_their_order",
        "test_it_returns_deliveries_of_one_lane_in_the_order_they_were_sent",
    )

    def __init__(self) -> None:
        super().__init__()
        self._late: list[Outgoing] = []

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        now, self._late = [*items, *self._late], []
        if len(items) == 1 and isinstance(items[0].content.data, int) and items[0].content.data % 2:
            self._late, now = now, []
        elif len(items) > 1:
            now = [*items[1:], items[0]]
        await super().send(now, timeout=timeout)
        return [WRITTEN for _ in items]


class ForgetsTheAttempt(Rewriting):
    caught_by = (
        "test_the_attempt_the_story_and_the_due_time_travel_beside_it",
        "test_what_is_released_is_not_counted_as_an_attempt_nor_as_a_delivery",
    )

    def rewrite(self, item: Outgoing) -> Outgoing:
        return msgspec.structs.replace(item, attempt=1)


class ForgetsTheStory(Rewriting):
    caught_by = (
        "test_the_attempt_the_story_and_the_due_time_travel_beside_it",
        "test_browses_a_dead_letter_with_its_whole_story",
    )

    def rewrite(self, item: Outgoing) -> Outgoing:
        return msgspec.structs.replace(item, story=None)


class ForgetsTheDueTime(Rewriting):
    caught_by = ("test_an_item_that_is_not_due_is_held_or_comes_with_its_due_time",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        return msgspec.structs.replace(item, due=None)


class ChangesTheIdOnRetry(Rewriting):
    """Some brokers drop a second message of one id; a new id is no way out of that."""

    caught_by = ("test_the_envelope_is_never_changed",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        if item.address.purpose is not Purpose.RETRY or not isinstance(item.content, Envelope):
            return item
        return _with(item, given_id=f"{item.content.id}:{item.attempt}")


class ChangesTheTime(Rewriting):
    caught_by = ("test_every_field_of_an_envelope_arrives",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        if not isinstance(item.content, Envelope):
            return item
        return _with(item, timestamp=round(item.content.timestamp, 3))


class DropsTheHeaderThatIsEmpty(Rewriting):
    caught_by = ("test_an_empty_header_arrives",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        if not isinstance(item.content, Envelope):
            return item
        full = {name: text for name, text in item.content.headers.items() if text}
        return _with(item, headers=full)


class DropsTheTenant(Rewriting):
    caught_by = ("test_every_field_of_an_envelope_arrives",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        return _with(item, tenant=None)


class SendsLargeEventsOnlyInPart(Rewriting):
    caught_by = ("test_a_large_event_arrives",)

    def rewrite(self, item: Outgoing) -> Outgoing:
        if isinstance(item.content, Envelope) and isinstance(item.content.data, str):
            return _with(item, data=item.content.data[:65_536])
        return item
