"""What becomes of deliveries that were received and not started."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Backoff, Batch, Bus, Envelope, Message, Retry
from busway._lanes import Lanes
from busway.memory import NullTransport
from busway.transport import Delivery, Feed, Fresh, Group, Loan
from tests.facts import PATIENCE, until, up

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Handing(NullTransport):
    """A broker with some deliveries, which notes what comes back."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._left = list(deliveries)
        self.acked: list[Any] = []
        self.released: list[Any] = []

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[Any]:
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncGenerator[Feed]:
        yield self

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        if not self._left:
            await anyio.sleep_forever()
        given, self._left = self._left[:limit], self._left[limit:]
        return given

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        self.acked.extend(_data(deliveries))
        return 0

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        self.released.extend(_data(deliveries))


def _data(deliveries: Sequence[Delivery]) -> list[Any]:
    return [each.content.data for each in deliveries if isinstance(each.content, Envelope)]


def of_one_key(count: int, loan: Loan | None = None) -> list[Delivery]:
    envelopes = [Envelope("a.b", number, "test", 1.0, "k") for number in range(count)]
    return [Delivery(each, "a", "k", loan=loan) for each in envelopes]


class HandingARun(Handing):
    """The same, all at once, as what is simply new."""

    def __init__(self, count: int, loan: Loan) -> None:
        super().__init__(of_one_key(count, loan))
        self.made: list[int] = []
        """How many deliveries had been made of each that was acknowledged as a whole."""
        self._loan = loan

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        if not self._left:
            await anyio.sleep_forever()
        events: list[Any] = [each.content for each in self._left]
        self._left = []
        places = [f"place {number}" for number in range(len(events))]
        return Fresh(events, lambda event: "a", loan=self._loan, receipt_of=places.__getitem__)

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        if type(deliveries) is Fresh:
            self.made.append(len(deliveries.made))
        return await super().ack(deliveries)


async def test_a_run_of_fresh_events_counts_as_one_under_its_loan_until_it_is_acknowledged() -> (
    None
):
    loan, counts = Loan(), list[int]()
    transport = HandingARun(3, loan)
    bus = Bus(transport)

    @bus.subscribe("a.*")
    async def handle(number: int) -> None:
        counts.append(loan.running)

    ack = transport.ack

    async def noting(deliveries: Sequence[Delivery], /) -> int:
        counts.append(loan.running)
        return await ack(deliveries)

    transport.ack = noting  # type: ignore[method-assign]
    async with up(bus):
        await until(lambda: transport.acked == [0, 1, 2])
        await loan.drained()
    assert counts == [1, 1, 1, 1]


async def test_only_who_is_given_more_than_the_event_has_deliveries_made_of_a_run() -> None:
    made: list[list[int]] = []
    fences: list[int | None] = []

    async def event(number: int) -> None: ...

    async def with_message(number: int, message: Message[int]) -> None:
        fences.append(message.fence)

    for handler in (event, with_message):
        transport = HandingARun(3, Loan(fence=7))
        bus = Bus(transport)
        bus.add(handler, "a.*")
        async with up(bus):
            await until(lambda: transport.acked == [0, 1, 2])  # noqa: B023  # of this turn
        made.append(transport.made)
    assert made == [[0], [3]]
    assert fences == [7, 7, 7]


async def test_nothing_of_a_run_starts_when_its_loan_is_revoked_and_it_is_released() -> None:
    loan, handled = Loan(), list[int]()
    transport = HandingARun(5, loan)
    bus = Bus(transport)

    @bus.subscribe("a.*")
    async def handle(number: int) -> None:
        handled.append(number)
        if number == 1:
            loan.revoke()

    release, running = transport.release, list[int]()

    async def noting(deliveries: Sequence[Delivery], /) -> None:
        running.append(loan.running)
        await release(deliveries)

    transport.release = noting  # type: ignore[method-assign]
    async with up(bus):
        await until(lambda: len(transport.released) == 3)
        await until(lambda: transport.acked == [0, 1])
        await loan.drained()
    assert (handled, sorted(transport.released)) == ([0, 1], [2, 3, 4])
    assert running[0] == 2, "those that were handled, and not what was not begun"
    assert loan.running == 0


async def test_a_run_whose_acknowledgement_was_cut_short_is_acknowledged_at_the_end() -> None:
    loan, entered = Loan(), list[int]()
    transport = HandingARun(3, loan)
    bus = Bus(transport)

    @bus.subscribe("a.*")
    async def handle(number: int) -> None: ...

    ack = transport.ack

    async def slow_at_first(deliveries: Sequence[Delivery], /) -> int:
        entered.append(loan.running)
        if len(entered) == 1:
            await anyio.sleep_forever()
        return await ack(deliveries)

    transport.ack = slow_at_first  # type: ignore[method-assign]
    async with up(bus):
        await until(lambda: entered == [1])
        await bus.stop(grace=0)
    assert entered == [1, 3], "one by one from then on"
    assert (transport.acked, transport.released) == ([0, 1, 2], [])
    assert loan.running == 0


async def test_a_look_for_what_is_lost_leaves_a_run_that_is_not_as_it_is() -> None:
    loan, lanes = Loan(), Lanes(1, 100)
    lanes.offer(Fresh([Envelope("a.b", n, "test", 1.0, "k") for n in range(3)], str, loan=loan))
    lanes.put(others := of_one_key(2, Loan()))
    run = lanes.run
    others[1].loan.revoke()  # type: ignore[union-attr]
    assert lanes.withdraw_lost() == others
    assert lanes.run is run
    loan.revoke()
    assert len(lanes.withdraw_lost()) == 3
    assert lanes.run is None


@pytest.mark.parametrize("fails", [False, True])
async def test_a_run_that_is_broken_off_counts_one_by_one_under_its_loan(fails: bool) -> None:
    """By a look at what waits: what was handled waits for its acknowledgement, and one runs."""
    loan, counts = Loan(), list[int]()
    transport = HandingARun(4, loan)
    bus = Bus(transport, retry=Retry(attempts=2, backoff=Backoff(first=0.01, cap=0.01)))

    async def handle(number: int, message: Message[int]) -> None:
        if number == 2 and message.attempt == 1:
            subscription.pause()
            counts.append(loan.running)
            subscription.resume()
            if fails:
                raise ValueError(number)

    subscription = bus.add(handle, "a.*")
    async with up(bus):
        await until(lambda: sorted(transport.acked) == [0, 1, 2, 3])
        await loan.drained()
    assert counts == [3]
    assert loan.running == 0


async def test_nothing_of_a_revoked_loan_starts_and_it_is_released() -> None:
    loan, handled = Loan(), []
    transport = Handing(of_one_key(3, loan))
    bus = Bus(transport)

    @bus.subscribe("a.*", concurrency=3)
    async def handle(number: int) -> None:
        handled.append(number)
        loan.revoke()

    async with up(bus):
        await until(lambda: len(transport.released) == 2)
        await loan.drained()
    assert (handled, transport.acked) == ([0], [0])
    assert sorted(transport.released) == [1, 2]


async def test_a_suspect_whose_loan_ends_while_it_waits_to_run_alone_does_not_start() -> None:
    loans, handled, go_on = [Loan(), Loan()], list[int](), anyio.Event()
    busy, suspect = of_one_key(2)
    busy.loan, suspect.loan = loans
    busy.lane, suspect.lane, suspect.delivered = "busy", "suspect", 2
    transport = Handing([busy, suspect])
    bus = Bus(transport)

    @bus.subscribe("a.*", concurrency=2)
    async def handle(number: int) -> None:
        handled.append(number)
        await go_on.wait()

    async with up(bus):
        await until(lambda: handled == [0])
        await anyio.wait_all_tasks_blocked()  # the suspect waits now
        loans[1].revoke()
        go_on.set()
        await until(lambda: transport.acked == [0])
        await until(lambda: transport.released == [1])
    assert handled == [0]


@pytest.mark.parametrize("batch", [None, Batch(1)])
async def test_what_is_tried_again_in_place_runs_once_under_its_loan(batch: Batch | None) -> None:
    """Whoever waits until nothing of the loan runs would wait for ever."""
    loan, tries = Loan(), []
    transport = Handing(of_one_key(1, loan))
    bus = Bus(transport, retry=Retry(attempts=5, backoff=Backoff(first=0.01, cap=0.01)))

    def attempt() -> None:
        tries.append(loan.running)
        if len(tries) < 4:
            raise ValueError(tries)

    async def one(number: int) -> None:
        attempt()

    async def some(numbers: list[int]) -> None:
        attempt()

    bus.add(some if batch else one, "a.*", batch=batch)
    async with up(bus):
        await until(lambda: transport.acked == [0])
        with anyio.fail_after(PATIENCE):
            await loan.drained()
    assert tries == [1] * 4
    assert loan.running == 0


async def test_a_batch_leaves_out_what_was_revoked_while_it_was_collected() -> None:
    over, handled, more = Loan(), [], anyio.Event()
    first, second = of_one_key(2)
    first.loan, second.loan = over, Loan()

    class InTurn(Handing):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            if self._left == [second]:
                await more.wait()
            return await super().receive(1)

    transport = InTurn([first, second])
    bus = Bus(transport)

    @bus.subscribe("a.*", batch=Batch(2, within=0.2))
    async def handle(numbers: list[int]) -> None:
        handled.append(numbers)

    async with up(bus):
        await until(lambda: bus.stats().groups[0].in_flight == 1)
        # Before the keeper looks: the batch is full in the next turn of the event loop.
        over.revoke()
        more.set()
        await until(lambda: transport.released == [0] and transport.acked == [1])
    assert handled == [[1]]


async def test_what_was_not_started_is_given_back_while_what_runs_may_finish() -> None:
    started, finish = anyio.Event(), anyio.Event()
    transport = Handing(of_one_key(3))
    bus = Bus(transport)

    @bus.subscribe("a.*", concurrency=3)
    async def handle(number: int) -> None:
        started.set()
        await finish.wait()

    with anyio.fail_after(PATIENCE):
        await bus.start()
        await started.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.stop)
            await until(lambda: len(transport.released) == 2)
            assert not transport.acked
            finish.set()
    assert (transport.acked, sorted(transport.released)) == ([0], [1, 2])
