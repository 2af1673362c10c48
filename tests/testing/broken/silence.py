"""Adapters that are wrong when their broker says nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, TypeVar

import anyio

from busway.errors import TransportError
from busway.testing._faults import Operation
from busway.testing._flaky_feed import FlakyFeed, flaky_feed
from busway.transport import WRITTEN, Delivery, Feed, Group, NotWritten, Outcome, Outgoing

from ._silent import Silent

__all__ = ["CALLS", "DEFECTS", "Defect"]

T = TypeVar("T")

CALLS: dict[Operation, str] = {
    "connect": "test_connecting_to_a_broker_that_says_nothing_ends",
    "send": "test_a_send_that_is_not_answered_is_never_called_written",
    "listen": "test_joining_a_group_at_a_broker_that_says_nothing_ends",
    "ack": "test_an_ack_that_is_not_answered_ends",
    "release": "test_a_release_that_is_not_answered_ends",
    "redeliver": "test_redelivers_that_is_not_answered_ends",
    "move": "test_moves_that_is_not_answered_ends",
    "extend": "test_extends_that_is_not_answered_ends",
    "follow": "test_follows_that_is_not_answered_ends",
    "groups": "test_manages_groups_at_a_broker_that_says_nothing_ends_with_a_list",
    "remove_group": "test_manages_groups_at_a_broker_that_says_nothing_ends_with_one_removed",
    "browse": "test_browses_that_is_not_answered_ends",
    "addresses": "test_browses_for_addresses_that_are_not_answered_ends",
    "discard": "test_discards_that_is_not_answered_ends",
    "rewind": "test_rewinds_that_is_not_answered_ends",
    "announce": "test_announces_that_is_not_answered_ends",
    "chart": "test_charts_that_is_not_answered_ends",
    "location": "test_located_that_is_not_answered_ends",
}
"""Each call that waits for a broker, and the test that says that it ends."""

RECEIVE = (
    "test_a_receive_goes_on_after_a_silence",
    "test_what_waits_during_a_silence_is_received_after_it",
)
JOINED = CALLS["listen"]
LEAVING = "test_leaving_a_group_at_a_broker_that_says_nothing_ends_and_raises_nothing"
CLOSING = "test_disconnecting_from_a_broker_that_says_nothing_ends_and_raises_nothing"


class Defect(Silent):
    """One of the calls is wrong; ``caught_by`` names the tests that notice."""

    operation: ClassVar[Operation]
    caught_by: ClassVar[tuple[str, ...]]


class NoDeadline(Defect):
    """Waits for as long as the broker is silent."""

    async def unanswered(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        if operation == self.operation:
            await anyio.sleep_forever()
        return await super().unanswered(operation, call)


class RaisesWhatItsClientRaised(Defect):
    async def unanswered(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        if operation == self.operation:
            raise TimeoutError("timed out")
        return await super().unanswered(operation, call)


class SaysThatItIsHopeless(Defect):
    async def unanswered(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        if operation == self.operation:
            raise TransportError("timed out", retryable=False)
        return await super().unanswered(operation, call)


class SaysThatItIsDone(Defect):
    """Takes no answer for a good one."""

    async def unanswered(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        if operation == self.operation:
            done: Any = _GOOD.get(operation)
            return done
        return await super().unanswered(operation, call)


_GOOD: dict[Operation, object] = {
    "ack": 0,
    "move": True,
    "groups": (),
    "remove_group": True,
    "addresses": (),
    "discard": True,
    "announce": {},
    "chart": {},
    "location": "",
}


class CallsItWritten(Defect):
    caught_by = (CALLS["send"],)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        if self.silent:
            return [WRITTEN] * len(items)
        return await super().send(items, timeout=timeout)


class CallsItNotWritten(Defect):
    """Who publishes it again has two."""

    caught_by = (CALLS["send"],)
    carries_out = True

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes = await super().send(items, timeout=timeout)
        error = TransportError("timed out")
        return [each if each is WRITTEN else NotWritten(error) for each in outcomes]


class ExtendsTooLate(Defect):
    """Its deadline is longer than a third of the lease of half a second."""

    caught_by = (CALLS["extend"],)
    deadline = 0.25


class LeavesAMemberBehind(Defect):
    """Joins, is not told so, and says that it has not joined."""

    caught_by = (JOINED,)

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.forgotten = AsyncExitStack()

    async def __aexit__(self, *exc: object) -> None:
        await self.forgotten.aclose()
        await super().__aexit__(*exc)

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncGenerator[Feed]:
        if self.silent:
            feed = await self.forgotten.enter_async_context(self.inner.listen(group))
            await feed.receive(100)
        async with super().listen(group) as feed:
            yield feed


class WaitsToSayGoodbye(Defect):
    caught_by = (LEAVING, CLOSING)

    async def left(self) -> None:
        await self.speaks.wait()


class CannotSayGoodbye(Defect):
    caught_by = (LEAVING, CLOSING)

    async def left(self) -> None:
        if self.silent:
            raise TransportError("the broker did not say goodbye")


class Receiving(Defect):
    """Feeds whose ``receive`` is wrong."""

    feed_type: ClassVar[type[FlakyFeed]]

    def wrap(self, feed: Feed, group: Group) -> Feed:
        return flaky_feed(self, feed, self.feed_type)


class NeverReceivesAgain(Receiving):
    """Does not see that the broker is back."""

    caught_by = RECEIVE

    class feed_type(FlakyFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            faults: Any = self._faults
            got: Sequence[Delivery] = await self.inner.receive(limit)
            if faults.was_silent:
                raise TransportError("not connected")
            return got


class LosesWhatItWasNotTold(Receiving):
    """The broker has lent it, and its answer never came: nobody asks what it was."""

    caught_by = (RECEIVE[1],)

    class feed_type(FlakyFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            faults: Any = self._faults
            got: Sequence[Delivery] = await self.inner.receive(limit)
            if faults.silent:
                await faults.speaks.wait()
                raise TransportError("the broker did not answer")
            return got


def _each(defect: type[Defect], *but: Operation) -> list[type[Defect]]:
    """The defect in each call but these."""
    return [
        type(f"{defect.__name__}-{call}", (defect,), {"operation": call, "caught_by": (test,)})
        for call, test in CALLS.items()
        if call not in but
    ]


DEFECTS: list[type[Defect]] = [
    *_each(NoDeadline),
    *_each(RaisesWhatItsClientRaised),
    *_each(SaysThatItIsHopeless, "send"),
    # Of a send that is another defect, below. That a loan was not prolonged is seen much later,
    # and what is read or joined has to come from somewhere.
    *_each(SaysThatItIsDone, "send", "extend", "connect", "listen", "browse"),
    CallsItWritten,
    CallsItNotWritten,
    ExtendsTooLate,
    WaitsToSayGoodbye,
    CannotSayGoodbye,
    LeavesAMemberBehind,
    NeverReceivesAgain,
    LosesWhatItWasNotTold,
]
