"""``breaker``: it makes calls wait; it never fails or drops one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from busway.errors import OptionError, Reject, RetryLater
from busway.message import Message
from busway.middleware import Handler, breaker
from busway.middleware._window import SLOTS, Window

pytestmark = pytest.mark.anyio

MakeMessage = Callable[..., Message[Any]]


class Service:
    """A handler of something that is up or down; each call can be held until told to go on."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0
        self.hold: anyio.Event | None = None

    async def __call__(self, message: Message[Any]) -> str:
        self.calls += 1
        error, hold = self.error, self.hold
        if hold is not None:
            await hold.wait()
        if error is not None:
            raise error
        return "ok"


class FakeSubscription:
    def __init__(self) -> None:
        self.log: list[str] = []

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")


class Subscribed(Message[Any]):
    """A message of a bus that says which subscription it came by."""

    __slots__ = ("subscription",)

    subscription: FakeSubscription


class Calls:
    """Starts calls of a handler side by side and keeps what becomes of each."""

    def __init__(self, handler: Handler, make: Callable[[], Message[Any]]) -> None:
        self.handler = handler
        self.make = make
        self.results: list[str] = []

    async def __call__(self) -> None:
        try:
            self.results.append(str(await self.handler(self.make())))
        except Exception as error:
            self.results.append(type(error).__name__)


async def cut_off(group: TaskGroup) -> None:
    """Let everything run that can; what waits then would wait for ever."""
    await anyio.wait_all_tasks_blocked()
    group.cancel_scope.cancel()


@pytest.fixture
def service() -> Service:
    return Service()


async def fail(clock: Any, handler: Handler, make: MakeMessage, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await clock.at_once(handler, make())


async def tripped(service: Service, clock: Any, make: MakeMessage, **options: Any) -> Handler:
    """A breaker of three failures, open for 5 s, over a service that is down."""
    handler = breaker(minimum=3, pause=5, clock=clock, **options)(service)
    service.error = ConnectionError("down")
    await fail(clock, handler, make, 3)
    return handler


async def test_it_opens_when_nothing_ever_succeeded(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = await tripped(service, clock, message)
    calls = Calls(handler, message)
    async with anyio.create_task_group() as group:
        group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 3
        assert calls.results == []
        group.cancel_scope.cancel()


async def test_below_its_minimum_of_attempts_it_stays_closed(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = breaker(minimum=10, clock=clock)(service)
    service.error = ConnectionError("down")
    await fail(clock, handler, message, 9)
    assert service.calls == 9


async def test_below_its_share_of_failures_it_stays_closed(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = breaker(0.5, minimum=3, clock=clock)(service)
    for _ in range(50):
        service.error = None
        await clock.at_once(handler, message())
        await clock.at_once(handler, message())
        service.error = ConnectionError("down")
        await fail(clock, handler, message, 1)
    assert service.calls == 150


async def test_failures_older_than_the_window_are_forgotten(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = breaker(minimum=3, window=30, clock=clock)(service)
    service.error = ConnectionError("down")
    for _ in range(10):
        await fail(clock, handler, message, 1)
        clock.leap(16)
    assert service.calls == 10


async def test_after_the_pause_exactly_one_call_goes_through(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    calls = Calls(await tripped(service, clock, message), message)
    service.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        clock.leap(4.9)
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 3
        clock.leap(0.1)
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 4
        group.start_soon(calls)  # a newcomer waits for the probe, too
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 4
        group.cancel_scope.cancel()


async def test_a_probe_that_succeeds_lets_everything_go_on(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    calls = Calls(await tripped(service, clock, message), message)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        service.error = None
        clock.leap(5)
        await cut_off(group)
    assert calls.results == ["ok"] * 5
    assert await clock.at_once(calls.handler, message()) == "ok"


async def test_a_probe_that_fails_doubles_the_wait_up_to_the_longest(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = await tripped(service, clock, message, longest=15)
    for wait in (5, 10, 15, 15):
        calls = Calls(handler, message)
        before = service.calls
        async with anyio.create_task_group() as group:
            group.start_soon(calls)
            await anyio.wait_all_tasks_blocked()
            clock.leap(wait - 0.1)
            await anyio.wait_all_tasks_blocked()
            assert service.calls == before
            clock.leap(0.1)
            await cut_off(group)
        assert service.calls == before + 1
        assert calls.results == ["ConnectionError"]


async def test_closing_forgets_the_failures_and_the_longer_wait(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = await tripped(service, clock, message)
    clock.leap(5)
    await fail(clock, handler, message, 1)
    clock.leap(10)
    service.error = None
    await clock.at_once(handler, message())
    service.error = ConnectionError("down")
    await fail(clock, handler, message, 3)
    clock.leap(5)
    await fail(clock, handler, message, 1)
    assert service.calls == 9


@pytest.mark.parametrize("signal", [Reject("bad"), RetryLater(1)])
async def test_what_a_handler_decides_itself_is_not_counted(
    service: Service, clock: Any, message: MakeMessage, signal: Exception
) -> None:
    handler = breaker(minimum=3, clock=clock)(service)
    service.error = signal
    for _ in range(20):
        with pytest.raises(type(signal)):
            await clock.at_once(handler, message())
    assert service.calls == 20


async def test_cancellation_is_not_counted(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = breaker(minimum=3, clock=clock)(service)
    service.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(handler, message())
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    service.hold = None
    assert await clock.at_once(handler, message()) == "ok"


async def test_a_probe_that_says_nothing_hands_over_to_the_next(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    calls = Calls(await tripped(service, clock, message), message)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        service.error = Reject("a bad event says nothing about the service")
        clock.leap(5)
        await cut_off(group)
    assert calls.results == ["Reject"] * 3


async def test_a_cancelled_probe_hands_over_to_the_next(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = await tripped(service, clock, message)
    calls = Calls(handler, message)
    service.hold = anyio.Event()
    clock.leap(5)
    async with anyio.create_task_group() as group, anyio.create_task_group() as probe:
        probe.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 4
        group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        assert service.calls == 4
        service.hold, service.error = None, None
        probe.cancel_scope.cancel()
    assert calls.results == ["ok"]
    assert service.calls == 5


async def test_a_cancelled_waiter_takes_nothing_with_it(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    calls = Calls(await tripped(service, clock, message), message)
    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(calls)
            group.start_soon(calls)
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        service.error = None
        clock.leap(5)
        await cut_off(group)
    assert calls.results == ["ok"]


async def test_what_began_before_it_opened_changes_nothing_after(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    """A late success does not close it, and a late failure makes no wait longer."""
    handler = breaker(minimum=3, pause=5, clock=clock)(service)
    early = Calls(handler, message)
    later = Calls(handler, message)
    go_on = service.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(early)
        await anyio.wait_all_tasks_blocked()
        service.error = ConnectionError("down")
        for _ in range(3):
            group.start_soon(early)
        await anyio.wait_all_tasks_blocked()
        service.hold = None
        await fail(clock, handler, message, 3)
        group.start_soon(later)
        go_on.set()  # one success and three failures that began before it opened
        await anyio.wait_all_tasks_blocked()
        assert sorted(early.results) == ["ConnectionError"] * 3 + ["ok"]
        assert later.results == []
        service.error = None
        clock.leap(5)
        await cut_off(group)
    assert later.results == ["ok"]


async def test_failures_that_began_before_it_opened_do_not_open_it_again(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = breaker(minimum=3, pause=5, clock=clock)(service)
    stuck = Calls(handler, message)
    service.error = ConnectionError("down")
    go_on = service.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(stuck)
        await anyio.wait_all_tasks_blocked()
        service.hold = None
        await fail(clock, handler, message, 3)
        clock.leap(5)
        service.error = None
        await clock.at_once(handler, message())
        go_on.set()
    assert await clock.at_once(handler, message()) == "ok"


async def test_each_handler_has_its_own_breaker(clock: Any, message: MakeMessage) -> None:
    policy = breaker(minimum=3, clock=clock)
    down, up = Service(), Service()
    down.error = ConnectionError("down")
    guarded_down, guarded_up = policy(down), policy(up)
    await fail(clock, guarded_down, message, 3)
    assert await clock.at_once(guarded_up, message()) == "ok"


async def test_a_clock_that_is_set_back_makes_no_wait_longer(
    service: Service, clock: Any, message: MakeMessage
) -> None:
    handler = await tripped(service, clock, message)
    clock.leap(-3600)
    calls = Calls(handler, message)
    async with anyio.create_task_group() as group:
        group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        service.error = None
        clock.leap(5)
        await cut_off(group)
    assert calls.results == ["ok"]


# --- the subscription --------------------------------------------------------------------------


@pytest.fixture
def subscription() -> FakeSubscription:
    return FakeSubscription()


@pytest.fixture
def subscribed(message: MakeMessage, subscription: FakeSubscription) -> Callable[[], Message[Any]]:
    def make() -> Message[Any]:
        plain = message()
        made = Subscribed(plain.envelope, plain.data, plain.group, plain._lent, plain._bus)
        made.subscription = subscription
        return made

    return make


async def test_the_subscription_is_paused_once_while_calls_wait_and_resumed_after(
    service: Service,
    clock: Any,
    subscribed: Callable[[], Message[Any]],
    subscription: FakeSubscription,
) -> None:
    calls = Calls(await tripped(service, clock, subscribed), subscribed)
    assert subscription.log == []
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        assert subscription.log == ["pause"]
        service.error = None
        clock.leap(5)
        await cut_off(group)
    assert subscription.log == ["pause", "resume"]


async def test_with_nobody_left_to_probe_the_subscription_is_not_left_paused(
    service: Service,
    clock: Any,
    subscribed: Callable[[], Message[Any]],
    subscription: FakeSubscription,
) -> None:
    """The probe that fails may come back by the broker only: it must be able to."""
    calls = Calls(await tripped(service, clock, subscribed), subscribed)
    async with anyio.create_task_group() as group:
        group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        clock.leap(5)
        await cut_off(group)
    assert calls.results == ["ConnectionError"]
    assert subscription.log == ["pause", "resume"]


async def test_waiters_that_are_all_cancelled_resume_the_subscription(
    service: Service,
    clock: Any,
    subscribed: Callable[[], Message[Any]],
    subscription: FakeSubscription,
) -> None:
    calls = Calls(await tripped(service, clock, subscribed), subscribed)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(calls)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert subscription.log == ["pause", "resume"]


# --- what it says, and what it refuses ---------------------------------------------------------


async def test_each_change_of_state_is_logged_once(
    service: Service, clock: Any, message: MakeMessage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "busway.middleware")
    calls = Calls(await tripped(service, clock, message), message)
    for error in (ConnectionError("still down"), None):
        service.error = error
        async with anyio.create_task_group() as group:
            for _ in range(1 if error else 3):
                group.start_soon(calls)
            await anyio.wait_all_tasks_blocked()
            clock.leap(10)
            await cut_off(group)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "breaker of Service: 3 of 3 attempts failed, waiting 5 s"),
        ("INFO", "breaker of Service: probing"),
        ("WARNING", "breaker of Service: the probe failed, waiting 10 s"),
        ("INFO", "breaker of Service: probing"),
        ("INFO", "breaker of Service: closed"),
    ]
    assert [vars(record)["busway_state"] for record in caplog.records] == [
        "open",
        "probing",
        "open",
        "probing",
        "closed",
    ]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"failures": 0}, "failures"),
        ({"failures": 1.1}, "failures"),
        ({"minimum": 0}, "minimum"),
        ({"window": 0}, "window"),
        ({"pause": -1}, "pause"),
        ({"pause": 10, "longest": 5}, "longest"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}="):
        breaker(**options)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_breaker_that_is_open_outlives_the_event_loop(
    backend: str, clock: Any, message: MakeMessage
) -> None:
    """A bus can be stopped and started again, in another loop, while the service is down."""
    service = Service()
    policy = breaker(minimum=3, pause=5, clock=clock)(service)

    async def first_run() -> None:
        service.error = ConnectionError("down")
        await fail(clock, policy, message, 3)
        async with anyio.create_task_group() as group:
            group.start_soon(policy, message())
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

    async def second_run() -> None:
        service.error = None
        async with anyio.create_task_group() as group:
            group.start_soon(policy, message())
            await anyio.wait_all_tasks_blocked()
            clock.leap(5)
            await cut_off(group)

    anyio.run(first_run, backend=backend)
    anyio.run(second_run, backend=backend)
    assert service.calls == 4


def test_a_window_counts_what_is_younger_than_itself() -> None:
    window = Window(10)
    window.add(100.0, failed=True)
    window.add(105.0, failed=False)
    assert (window.total, window.failed) == (2, 1)
    window.add(110.0, failed=False)
    assert (window.total, window.failed) == (2, 0)
    window.clear()
    assert (window.total, window.failed) == (0, 0)


def test_a_window_takes_no_more_memory_at_a_higher_rate() -> None:
    window = Window(10)
    for number in range(10_000):
        window.add(number / 100, failed=False)
    assert len(window._slots) <= SLOTS
    assert 900 <= window.total <= 1_000


def test_a_clock_that_is_set_back_by_a_little_loses_no_count_and_takes_no_memory() -> None:
    window = Window(10)
    for _ in range(1_000):
        window.add(100.0, failed=True)
        window.add(95.0, failed=True)
    assert window.failed == 2_000
    assert len(window._slots) == 1


def test_a_clock_that_is_set_back_by_a_lot_begins_again() -> None:
    window = Window(10)
    window.add(100.0, failed=True)
    window.add(50.0, failed=True)
    window.add(55.0, failed=False)
    window.add(60.0, failed=False)
    assert (window.total, window.failed) == (2, 0)
