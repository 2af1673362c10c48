"""What becomes of a delivery that failed, as a table and as laws."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from busway import Backoff, Reject, Retry, RetryLater
from busway._verdict import Again, Dead, crashed, judge, told
from busway.errors import OptionError, Undecodable
from busway.message import Envelope
from busway.transport import Delivery, Story

PLAIN = Backoff(first=1.0, factor=2.0, cap=60.0, jitter="none")


def story(attempts: int, first_failed: float | None = None) -> Story:
    return Story("g", "h", attempts=attempts, first_failed=first_failed)


@pytest.mark.parametrize(
    ("error", "attempts", "retry", "verdict"),
    [
        (ValueError("x"), 1, Retry(5, PLAIN), Again(1.0)),
        (ValueError("x"), 2, Retry(5, PLAIN), Again(2.0)),
        (ValueError("x"), 4, Retry(5, PLAIN), Again(8.0)),
        (ValueError("x"), 5, Retry(5, PLAIN), Dead("failed 5 of 5 attempts: x")),
        (ValueError("x"), 1, Retry(1, PLAIN), Dead("failed 1 of 1 attempts: x")),
        (ValueError("x"), 7, Retry(9, PLAIN), Again(60.0)),
        (Reject("no"), 1, Retry(5, PLAIN), Dead("no")),
        (Undecodable("no"), 1, Retry(5, PLAIN), Dead("no")),
        (Undecodable("no"), 1, Retry(5, PLAIN, on=(Undecodable,)), Dead("no")),
        (RetryLater(30), 1, Retry(5, PLAIN), Again(30)),
        (RetryLater(30, "w"), 5, Retry(5, PLAIN), Dead("failed 5 of 5 attempts: w")),
        (RetryLater(30), 1, Retry(5, PLAIN, on=(KeyError,)), Again(30)),
        (
            ValueError("x"),
            1,
            Retry(5, PLAIN, on=(KeyError,)),
            Dead("ValueError is not among the errors retried: x"),
        ),
        (KeyError("x"), 1, Retry(5, PLAIN, on=(LookupError,)), Again(1.0)),
        (
            KeyError("x"),
            1,
            Retry(5, PLAIN, give_up_on=(LookupError,)),
            Dead("KeyError is not retried: 'x'"),
        ),
        (SystemExit(3), 1, Retry(5, PLAIN), Again(1.0)),
        (SystemExit(3), 5, Retry(5, PLAIN), Dead("failed 5 of 5 attempts: 3")),
        (
            SystemExit(3),
            1,
            Retry(5, PLAIN, give_up_on=(SystemExit,)),
            Dead("SystemExit is not retried: 3"),
        ),
    ],
)
def test_the_table_of_verdicts(
    error: BaseException, attempts: int, retry: Retry, verdict: Again | Dead
) -> None:
    assert judge(error, story(attempts, 0.0), retry, 0.0, 0.5) == verdict


@pytest.mark.parametrize("within", [10.0, timedelta(seconds=10)])
def test_no_attempt_starts_later_than_within_after_the_first_failure(within: Any) -> None:
    retry = Retry(9, PLAIN, within=within)
    assert judge(ValueError(), story(1, 100.0), retry, 109.0, 0.5) == Again(1.0)
    late = judge(ValueError(), story(1, 100.0), retry, 109.1, 0.5)
    assert isinstance(late, Dead)
    assert "no attempt left within 10 s" in late.reason


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.sampled_from(["full", "none"]))
def test_a_wait_is_never_negative_and_never_above_the_cap(
    failures: int, draw: float, jitter: Any
) -> None:
    assert 0 <= Backoff(first=0.1, factor=3.0, cap=7.0, jitter=jitter).wait(failures, draw) <= 7.0


@given(st.integers(1, 40))
def test_without_jitter_a_wait_never_shrinks(failures: int) -> None:
    backoff = Backoff(jitter="none")
    assert backoff.wait(failures, 0.3) <= backoff.wait(failures + 1, 0.3)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([ValueError("x"), SystemExit(), RetryLater(1), Reject(), Undecodable("x")]),
    st.one_of(st.none(), st.floats(0, 100)),
    st.floats(0, 100),
)
def test_no_more_attempts_than_allowed_whatever_fails(
    attempts: int, allowed: int, error: BaseException, within: float | None, passed: float
) -> None:
    retry = Retry(allowed, PLAIN, within=within)
    verdict = judge(error, story(attempts, 1000.0), retry, 1000.0 + passed, 0.5)
    if attempts >= allowed or isinstance(error, (Reject, Undecodable)):
        assert isinstance(verdict, Dead)
    if isinstance(verdict, Again) and within is not None:
        assert passed + verdict.after <= within + 1e-6


def test_full_jitter_draws_between_nothing_and_the_whole_wait() -> None:
    backoff = Backoff(first=8.0, jitter="full")
    assert backoff.wait(1, 0.0) == 0.0
    assert backoff.wait(1, 0.25) == 2.0


def test_the_story_counts_the_attempt_that_failed_and_keeps_the_first_failure() -> None:
    delivery = Delivery(Envelope("t"), "c", attempt=1)
    one = told(ValueError("a"), delivery, Story("g", "h"), 10.0)
    delivery.attempt = 2
    two = told(KeyError("b"), delivery, one, 20.0)
    assert (one.attempts, one.first_failed, one.last_failed, one.kind) == (
        1,
        10.0,
        10.0,
        "ValueError",
    )
    assert (two.attempts, two.first_failed, two.last_failed) == (2, 10.0, 20.0)
    assert (two.kind, two.reason) == ("KeyError", "'b'")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_that_cannot_be_printed_is_judged_like_any_other() -> None:
    delivery = Delivery(Envelope("t"), "c")
    assert told(Mute(), delivery, Story("g"), 1.0).kind == "Mute"
    verdict = judge(Mute(), story(5), Retry(5), 1.0, 0.5)
    assert isinstance(verdict, Dead)
    assert "RuntimeError" in verdict.reason


def test_what_an_exception_says_is_bounded() -> None:
    delivery = Delivery(Envelope("t"), "c")
    assert len(told(ValueError("x" * 1_000_000), delivery, Story("g"), 1.0).reason) < 3000


def test_what_was_handed_out_more_often_than_attempts_explain_is_given_up() -> None:
    delivery = Delivery(Envelope("t"), "c", delivered=3)
    assert crashed(delivery, Retry(attempts=3)) is None
    assert crashed(msgspec.structs.replace(delivery, delivered=4), Retry(attempts=3)) is not None


def test_one_crash_is_forgiven_even_when_nothing_is_retried() -> None:
    delivery = Delivery(Envelope("t"), "c", delivered=2)
    assert crashed(delivery, Retry(attempts=1)) is None
    assert crashed(msgspec.structs.replace(delivery, delivered=3), Retry(attempts=1)) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry(attempts=0),
        lambda: Retry(in_place=-1),
        lambda: Backoff(first=-1),
        lambda: Backoff(first=2, cap=1),
        lambda: Backoff(factor=0.5),
        lambda: RetryLater(-1),
        lambda: RetryLater(float("nan")),
    ],
)
def test_a_policy_that_cannot_work_is_refused(make: Any) -> None:
    with pytest.raises(OptionError):
        make()
