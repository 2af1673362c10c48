"""``dedupe`` and its store in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway.errors import OptionError, Reject, RetryLater, TransportError
from busway.message import Envelope, Message
from busway.middleware import (
    DONE,
    NEW,
    Busy,
    Claim,
    Claimed,
    DedupeKey,
    DedupeStore,
    Handler,
    MemoryStore,
    StoreAway,
    compose,
    dedupe,
)

pytestmark = pytest.mark.anyio

MakeMessage = Callable[..., Message[Any]]

KEY = ("billing", "e-1")


def order(id: str = "e-1", **fields: Any) -> Envelope:
    return Envelope("order.placed", {"total": 1}, "shop", 1_000_000.0, given_id=id, **fields)


class Counting:
    """A handler that counts, fails as often as told, and can be held inside."""

    def __init__(self, *errors: BaseException) -> None:
        self.calls = 0
        self.errors = list(errors)
        self.entered = anyio.Event()
        self.go_on: anyio.Event | None = None

    async def __call__(self, message: Message[Any]) -> int:
        self.calls += 1
        self.entered.set()
        if self.go_on is not None:
            await self.go_on.wait()
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@pytest.fixture
def store(clock: Any) -> MemoryStore:
    return MemoryStore(clock=clock.time)


# --- the middleware ----------------------------------------------------------------------------


async def test_a_duplicate_of_a_handled_event_is_not_handled_and_answers_none(
    message: MakeMessage, store: MemoryStore
) -> None:
    handler = Counting()
    once = dedupe(store)(handler)
    assert await once(message(order())) == 1
    assert await once(message(order())) is None
    assert handler.calls == 1


async def test_each_group_handles_an_event_for_itself(
    message: MakeMessage, store: MemoryStore
) -> None:
    handler = Counting()
    once = dedupe(store)(handler)
    await once(message(order(), group="billing"))
    await once(message(order(), group="mailing"))
    assert handler.calls == 2


async def test_an_idempotency_key_is_recognised_under_different_ids(
    message: MakeMessage, store: MemoryStore
) -> None:
    handler = Counting()
    once = dedupe(store)(handler)
    await once(message(order("e-1", idempotency_key="k")))
    await once(message(order("e-2", idempotency_key="k")))
    await once(message(order("e-1")))  # the id alone is another key
    assert handler.calls == 2


@pytest.mark.parametrize("error", [ValueError("no"), Reject("never"), RetryLater(5)])
async def test_the_redelivery_of_a_failed_attempt_is_handled(
    message: MakeMessage, store: MemoryStore, error: Exception
) -> None:
    handler = Counting(error)
    once = dedupe(store)(handler)
    with pytest.raises(type(error)) as caught:
        await once(message(order()))
    assert caught.value is error
    assert await once(message(order(), attempt=2)) == 2


async def test_the_redelivery_of_a_cancelled_attempt_is_handled(
    message: MakeMessage, store: MemoryStore
) -> None:
    handler = Counting()
    handler.go_on = anyio.Event()
    once = dedupe(store)(handler)
    async with anyio.create_task_group() as group:
        group.start_soon(once, message(order()))
        await handler.entered.wait()
        group.cancel_scope.cancel()
    handler.go_on = None
    assert await once(message(order())) == 2


async def test_a_duplicate_of_what_is_being_handled_waits_until_that_claim_has_ended(
    message: MakeMessage, store: MemoryStore, clock: Any
) -> None:
    handler = Counting()
    handler.go_on = anyio.Event()
    once = dedupe(store, lease=60)(handler)
    async with anyio.create_task_group() as group:
        group.start_soon(once, message(order()))
        await handler.entered.wait()
        clock.leap(20)
        with pytest.raises(Claimed) as caught:
            await once(message(order()))
        assert 40 < caught.value.after < 41
        handler.go_on.set()
    assert handler.calls == 1
    assert await once(message(order())) is None


async def test_a_claim_left_by_a_dead_process_ends_and_the_redelivery_is_handled(
    message: MakeMessage, store: MemoryStore, clock: Any
) -> None:
    assert await store.claim(KEY, "a process that died", 60) == NEW
    handler = Counting()
    once = dedupe(store)(handler)
    with pytest.raises(Claimed) as caught:
        await once(message(order()))
    clock.leap(caught.value.after)
    assert await once(message(order(), attempt=2)) == 1


async def test_a_failure_that_comes_after_its_lease_leaves_the_claim_of_the_next(
    message: MakeMessage, store: MemoryStore, clock: Any
) -> None:
    stalled = Counting(ValueError("late"))
    stalled.go_on = anyio.Event()
    once = dedupe(store, lease=60)(stalled)

    async def late() -> None:
        with pytest.raises(ValueError, match="late"):
            await once(message(order()))

    async with anyio.create_task_group() as group:
        group.start_soon(late)
        await stalled.entered.wait()
        clock.leap(61)
        assert await store.claim(KEY, "the next", 60) == NEW
        stalled.go_on.set()
    assert await store.claim(KEY, "a third", 60) == Busy(60)


async def test_a_success_that_comes_after_its_lease_counts(
    message: MakeMessage, store: MemoryStore, clock: Any
) -> None:
    stalled = Counting()
    stalled.go_on = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(dedupe(store, lease=60)(stalled), message(order()))
        await stalled.entered.wait()
        clock.leap(61)
        assert await store.claim(KEY, "the next", 60) == NEW
        stalled.go_on.set()
    await store.release(KEY, "the next")
    assert await store.claim(KEY, "a third", 60) == DONE


async def test_a_handled_event_is_forgotten_after_its_ttl(
    message: MakeMessage, store: MemoryStore, clock: Any
) -> None:
    handler = Counting()
    once = dedupe(store, ttl=timedelta(minutes=1))(handler)
    await once(message(order()))
    clock.leap(59)
    await once(message(order()))
    assert handler.calls == 1
    clock.leap(1)
    await once(message(order()))
    assert handler.calls == 2


async def test_what_an_inner_middleware_claims_gives_the_outer_claim_up(
    message: MakeMessage, clock: Any
) -> None:
    """A ``Claimed`` that comes out of the handler is an outcome like any other."""
    outer, inner = MemoryStore(clock=clock.time), MemoryStore(clock=clock.time)
    await inner.claim(KEY, "somebody", 60)
    with pytest.raises(Claimed):
        await compose(Counting(), (dedupe(outer), dedupe(inner)))(message(order()))
    assert await outer.claim(KEY, "next", 60) == NEW


def test_a_wait_for_somebody_elses_claim_is_marked_as_no_failure() -> None:
    assert Claimed.counts is False
    assert issubclass(Claimed, RetryLater)


@pytest.mark.parametrize("options", [{"ttl": 0}, {"lease": 0}, {"lease": -1}, {"ttl": timedelta()}])
def test_times_are_above_0(store: MemoryStore, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(options))}="):
        dedupe(store, **options)


# --- a store that is slow, and one that breaks -------------------------------------------------


class Remote:
    """A store behind awaits, each of which can be cancelled or fail at the n-th of its steps."""

    def __init__(self, inner: DedupeStore) -> None:
        self.inner = inner
        self.step = 0
        self.at: Callable[[int], None] = lambda step: None

    async def _checkpoint(self) -> None:
        self.step += 1
        self.at(self.step)
        await anyio.lowlevel.checkpoint()

    async def claim(self, key: DedupeKey, owner: str, lease: float, /) -> Claim:
        await self._checkpoint()
        claim = await self.inner.claim(key, owner, lease)
        await self._checkpoint()
        return claim

    async def done(self, key: DedupeKey, owner: str, ttl: float | None, /) -> None:
        await self._checkpoint()
        await self.inner.done(key, owner, ttl)
        await self._checkpoint()

    async def release(self, key: DedupeKey, owner: str, /) -> None:
        await self._checkpoint()
        await self.inner.release(key, owner)
        await self._checkpoint()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("step", range(1, 6))
async def test_cancelled_at_any_await_it_leaves_no_claim_and_forgets_no_success(
    message: MakeMessage, clock: Any, step: int, fails: bool
) -> None:
    """Steps: before and after the claim, in the handler, before and after the outcome is told."""
    inner = MemoryStore(clock=clock.time)
    remote = Remote(inner)
    finished = 0

    async def handler(message: Message[Any]) -> None:
        nonlocal finished
        await remote._checkpoint()
        if fails:
            raise ValueError("no")
        finished += 1

    async with anyio.create_task_group() as group:
        remote.at = lambda at: group.cancel_scope.cancel() if at == step else None

        async def handle() -> None:
            if fails and step > 3:  # cancelled while a failure is told: the failure comes out
                with pytest.raises(ValueError, match="no"):
                    await dedupe(remote)(handler)(message(order()))
            else:
                await dedupe(remote)(handler)(message(order()))

        group.start_soon(handle)
    assert remote.step >= step
    expected: Claim = DONE if finished else NEW
    assert finished == (step > 3 and not fails)
    assert await inner.claim(KEY, "the next", 60) == expected


class Broken(Remote):
    def __init__(self, inner: DedupeStore, at: int, error: Exception | None = None) -> None:
        super().__init__(inner)

        def fail(step: int) -> None:
            if step == at:
                raise error or ConnectionError("the store is gone")

        self.at = fail


@pytest.mark.parametrize("step", [1, 2])
async def test_a_store_that_breaks_at_the_claim_fails_the_attempt_and_leaves_no_claim(
    message: MakeMessage, store: MemoryStore, step: int
) -> None:
    handler = Counting()
    with pytest.raises(ConnectionError):
        await dedupe(Broken(store, step))(handler)(message(order()))
    assert handler.calls == 0
    assert await store.claim(KEY, "the next", 60) == NEW


@pytest.mark.parametrize("step", [1, 2])
async def test_a_store_that_is_away_at_the_claim_makes_the_event_wait_and_leaves_no_claim(
    message: MakeMessage, store: MemoryStore, step: int
) -> None:
    handler = Counting()
    away = TransportError("not reached")
    with pytest.raises(StoreAway) as caught:
        await dedupe(Broken(store, step, away))(handler)(message(order()))
    assert caught.value.__cause__ is away
    assert caught.value.after <= 1, "no longer than a key is kept in order"
    assert handler.calls == 0
    assert await store.claim(KEY, "the next", 60) == NEW


def test_a_wait_for_a_store_is_marked_as_no_failure() -> None:
    assert StoreAway.counts is False
    assert issubclass(StoreAway, RetryLater)


async def test_a_store_that_needs_somebodys_help_fails_the_attempt(
    message: MakeMessage, store: MemoryStore
) -> None:
    """Waiting would not mend a wrong password, and nobody would hear of it."""
    refused = TransportError("WRONGPASS", retryable=False)
    with pytest.raises(TransportError) as caught:
        await dedupe(Broken(store, 1, refused))(Counting())(message(order()))
    assert caught.value is refused


async def test_a_store_that_is_away_is_asked_seldom_and_said_once(
    message: MakeMessage, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    remote, handler = Remote(store), Counting()

    def away(step: int) -> None:
        raise TransportError("not reached")

    remote.at = away
    once = dedupe(remote)(handler)
    with anyio.fail_after(10):
        for number in range(1000):
            with pytest.raises(StoreAway):
                await once(message(order(f"e-{number}")))
        assert remote.step < 100
        remote.at = lambda step: None
        while True:
            try:
                assert await once(message(order())) == 1
                break
            except StoreAway as waits:
                await anyio.sleep(waits.after)
    assert [record.getMessage() for record in caplog.records] == [
        "dedupe: the store is away, and events wait for it: not reached",
        "dedupe: the store is there again",
    ]


async def test_a_store_that_breaks_after_a_success_does_not_fail_it_and_is_reported(
    message: MakeMessage, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Failing the attempt would repeat for certain what was handled."""
    handler = Counting()
    assert await dedupe(Broken(store, 3))(handler)(message(order())) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "dedupe: an event of group billing could not be marked as handled"
    assert record.exc_info


async def test_a_store_that_breaks_after_a_failure_does_not_hide_the_failure(
    message: MakeMessage, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="the reason"):
        await dedupe(Broken(store, 3))(Counting(ValueError("the reason")))(message(order()))
    assert "could not be released" in caplog.text


async def test_a_store_that_hangs_after_a_success_is_given_up_and_reported(
    message: MakeMessage,
    store: MemoryStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hanging(Remote):
        async def done(self, key: DedupeKey, owner: str, ttl: float | None, /) -> None:
            await anyio.Event().wait()

    monkeypatch.setattr("busway.middleware._dedupe.SETTLE_SECONDS", 0.01)
    assert await dedupe(Hanging(store))(Counting())(message(order())) == 1
    assert "was not marked as handled within 0.01 s" in caplog.text


# --- the store in memory -----------------------------------------------------------------------


async def test_a_claim_says_how_long_it_lasts(store: MemoryStore, clock: Any) -> None:
    assert await store.claim(KEY, "a", 60) == NEW
    clock.leap(15)
    assert await store.claim(KEY, "b", 60) == Busy(45)
    clock.leap(45)
    assert await store.claim(KEY, "b", 60) == NEW


async def test_only_the_owner_gives_a_claim_up(store: MemoryStore) -> None:
    await store.claim(KEY, "a", 60)
    await store.release(KEY, "b")
    assert await store.claim(KEY, "c", 60) == Busy(60)
    await store.release(KEY, "a")
    await store.release(KEY, "a")
    assert await store.claim(KEY, "c", 60) == NEW


async def test_what_is_done_cannot_be_released(store: MemoryStore) -> None:
    await store.claim(KEY, "a", 60)
    await store.done(KEY, "a", None)
    await store.release(KEY, "a")
    assert await store.claim(KEY, "b", 60) == DONE


async def test_beyond_its_bound_it_forgets_the_oldest_handled(clock: Any) -> None:
    store = MemoryStore(max_entries=3, clock=clock.time)
    for number in range(5):
        await store.claim(("g", str(number)), "a", 60)
        await store.done(("g", str(number)), "a", None)
    assert len(store) == 3
    assert await store.claim(("g", "4"), "b", 60) == DONE
    assert await store.claim(("g", "1"), "b", 60) == NEW


async def test_it_never_forgets_a_live_claim_even_beyond_its_bound(clock: Any) -> None:
    store = MemoryStore(max_entries=2, clock=clock.time)
    for number in range(5):
        assert await store.claim(("g", str(number)), "a", 60) == NEW
    for number in range(5):
        assert await store.claim(("g", str(number)), "b", 60) == Busy(60)
    assert len(store) == 5


async def test_claims_that_ended_make_room(clock: Any) -> None:
    store = MemoryStore(max_entries=2, clock=clock.time)
    for number in range(5):
        await store.claim(("g", str(number)), "a", 60)
    clock.leap(60)
    await store.claim(("g", "new"), "a", 60)
    assert len(store) == 2


async def test_handled_events_past_their_ttl_are_freed_without_being_asked_for(clock: Any) -> None:
    store = MemoryStore(ttl=10, clock=clock.time)
    for number in range(5):
        await store.done(("g", str(number)), "a", None)
    clock.leap(10)
    await store.claim(("g", "new"), "a", 60)
    assert len(store) == 1
    assert repr(store) == "<MemoryStore 0 handled, 1 claimed>"


@pytest.mark.parametrize("options", [{"ttl": 0}, {"max_entries": 0}])
def test_the_store_in_memory_refuses_bounds_of_0(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(options))}=0"):
        MemoryStore(**options)


def test_the_store_in_memory_is_a_store() -> None:
    store: DedupeStore = MemoryStore()
    middleware: Callable[[Handler], Any] = dedupe(store)
    assert callable(middleware)
