"""Handing single events over, done wrong: each defect is found by the test named for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from busway.errors import TransportError
from busway.memory import MemoryTransport
from busway.memory._feed import MemoryFeed
from busway.message import Envelope
from busway.testing import TransportSuite
from busway.transport import Delivery

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio


class DoneIsForgotten(MemoryFeed):
    _again: Envelope | None = None

    def done(self) -> None:
        self._again = self._handed

    def leave(self) -> None:
        self._handed = self._again
        super().leave()


class DoneIsNotCounted(MemoryFeed):
    def done(self) -> None:
        self._handed = None


class LendsAgain(MemoryFeed):
    def lend(self) -> Delivery:
        lent = super().lend()
        lent.attempt += 1
        return lent


class LendsAndForgets(MemoryFeed):
    """What is lent is nobody's."""

    def lend(self) -> Delivery:
        self._box.pending -= 1
        event, self._handed = self._handed, None
        assert event is not None
        return Delivery(event, "orders")


class LosesItsPlace(MemoryFeed):
    def lend(self) -> Delivery:
        self._place = self._box.place
        return super().lend()


class ForgetsWhatItHanded(MemoryFeed):
    def leave(self) -> None:
        self._handed = None


class DoesNotLook(MemoryFeed):
    """It waits, whatever is there."""

    async def hand(self) -> Envelope | None:
        ready = self._box.ready.copy()
        self._box.ready.clear()
        try:
            return await super().hand()
        finally:
            self._box.ready.extendleft(reversed(ready))


class TakesTheFirstOfSeveral(MemoryFeed):
    async def hand(self) -> Envelope | None:
        event = await super().hand()
        if event is None and self._box.ready:
            first = self._box.take(1, self, None)[0].content
            assert isinstance(first, Envelope)
            return first
        return event


class TakesBeforeItWaits(MemoryFeed):
    async def hand(self) -> Envelope | None:
        event = await super().hand()
        with anyio.CancelScope() as scope:
            await anyio.lowlevel.checkpoint()
        if scope.cancelled_caught:
            raise TransportError("too late")
        return event


CASES: dict[type[MemoryFeed], str] = {
    DoneIsForgotten: "test_hands_over_an_event_and_done_acknowledges_it",
    DoneIsNotCounted: "test_hands_over_what_counts_as_pending_until_it_is_done",
    LendsAgain: "test_hands_over_what_can_be_lent_and_is_settled_as_any_other",
    LendsAndForgets: "test_hands_over_what_can_be_lent_and_is_settled_as_any_other",
    LosesItsPlace: "test_hands_over_in_order_what_is_given_back",
    ForgetsWhatItHanded: "test_hands_over_and_leaving_gives_it_back",
    DoesNotLook: "test_hands_over_nothing_while_something_else_waits",
    TakesTheFirstOfSeveral: "test_hands_over_nothing_that_came_with_something_else",
    TakesBeforeItWaits: "test_hands_over_nothing_to_who_was_cancelled",
}


class QuickSuite(TransportSuite):
    patience = 0.5
    silence = 0.02


async def run(test: str) -> None:
    suite = QuickSuite()
    with anyio.fail_after(10):
        async with suite.drive(MemoryTransport()) as driver:
            await getattr(suite, test)(driver)


@pytest.mark.parametrize("test", sorted(set(CASES.values())))
async def test_without_a_defect_the_same_test_passes(test: str) -> None:
    await run(test)


@pytest.mark.parametrize(("broken", "test"), CASES.items(), ids=lambda each: str(each))
async def test_a_defect_is_caught_by_the_test_named_for_it(
    broken: Any, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed: Callable[..., Any] = broken
    monkeypatch.setattr("busway.memory._transport.MemoryFeed", feed)
    with pytest.RaisesGroup(AssertionError, flatten_subgroups=True, allow_unwrapped=True):
        await run(test)
