"""A loan that is revoked, and who waits until it is drained."""

from __future__ import annotations

import time

import anyio
import pytest

from busway.transport import Delivery, Loan, Raw

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio


async def test_a_loan_of_which_nothing_runs_is_drained_at_once() -> None:
    with anyio.fail_after(1):
        await Loan().drained()


async def test_everybody_who_waits_learns_that_a_loan_is_drained() -> None:
    loan = Loan()
    loan.running = 2
    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loan.drained)
            tasks.start_soon(loan.drained)
            await anyio.wait_all_tasks_blocked()
            loan.finished()
            await anyio.wait_all_tasks_blocked()
            loan.finished()


async def test_what_starts_while_somebody_waits_is_waited_for_too() -> None:
    loan = Loan()
    loan.running = 1
    drained = False

    async def wait() -> None:
        nonlocal drained
        await loan.drained()
        drained = True

    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            loan.finished()
            loan.running += 1
            await anyio.wait_all_tasks_blocked()
            assert not drained
            loan.finished()


def test_a_delivery_is_lost_with_its_loan() -> None:
    loan = Loan()
    delivery = Delivery(Raw(b""), "orders", loan=loan)
    assert not delivery.lost
    loan.revoke()
    loan.revoke()
    assert delivery.lost


def test_a_loan_that_is_not_put_off_is_revoked_by_the_clock_alone() -> None:
    """Nobody has to run for it: a process that stood still has run nothing."""
    loan = Loan(until=time.monotonic() + 3600)
    delivery = Delivery(Raw(b""), "orders", loan=loan)
    assert not delivery.lost
    loan.until = time.monotonic()
    assert delivery.lost


def test_a_loan_that_was_over_once_is_over_for_good() -> None:
    loan = Loan(until=time.monotonic())
    assert loan.revoked
    loan.until = time.monotonic() + 3600
    assert loan.revoked
