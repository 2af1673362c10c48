"""What becomes of deliveries that were received and not started."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Backoff, Batch, Bus, Envelope, Retry
from busway.memory import NullTransport
from busway.transport import Delivery, Feed, Group, Loan
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
