"""What one owner of a partition hands out, and what may be committed of it."""

from __future__ import annotations

import pytest

from busway_kafka._fetching import share
from busway_kafka._notes import Note
from busway_kafka._tenure import Tenure
from busway_kafka._wire import Read
from busway_kafka._wire import read as read_bytes

from .records import Fetched, owner

__all__: list[str] = []


def read(due: float | None = None) -> Read:
    return read_bytes(None, b"{", [])._replace(due=due)


def took(tenure: Tenure, count: int) -> list[int]:
    tenure.reserved = 10_000
    return [taken[0] for _ in range(count) if (taken := tenure.take()) is not None]


def test_nothing_is_committed_above_what_is_not_finished() -> None:
    tenure = owner(0, None, 0, 1, 2, 3)
    assert took(tenure, 4) == [0, 1, 2, 3]
    assert tenure.done(1)
    assert tenure.done(3)
    assert tenure.position == 0
    assert tenure.done(0)
    assert tenure.position == 2
    assert tenure.done(2)
    assert tenure.position == 4


def test_what_was_not_taken_is_not_committed() -> None:
    tenure = owner(0, None, 0, 1, 2)
    took(tenure, 1)
    tenure.done(0)
    assert tenure.position == 1


def test_offsets_that_are_missing_hold_nothing_up() -> None:
    tenure = owner(0, None, 3, 9, 27)
    assert tenure.position == 3
    assert took(tenure, 3) == [3, 9, 27]
    tenure.done(9)
    tenure.done(3)
    assert tenure.position == 27
    tenure.done(27)
    assert tenure.position == 28


def test_what_is_given_back_goes_out_before_what_is_new_in_its_order() -> None:
    tenure = owner(0, None, 0, 1, 2, 3)
    took(tenure, 3)
    assert tenure.give_back(2, read())
    assert tenure.give_back(0, read())
    assert took(tenure, 3) == [0, 2, 3]
    assert tenure.position == 0


def test_each_is_done_once() -> None:
    tenure = owner(0, None, 0)
    took(tenure, 1)
    assert tenure.done(0)
    assert not tenure.done(0)
    assert not tenure.give_back(0, read())


def test_what_is_not_lent_is_not_done() -> None:
    tenure = owner(0, None, 0)
    took(tenure, 1)
    tenure.give_back(0, read())
    assert not tenure.done(0)
    assert tenure.position == 0


def test_nothing_counts_after_its_end_and_what_was_lent_is_lost_once() -> None:
    tenure = owner(0, None, 0)
    took(tenure, 1)
    tenure.end_it()
    assert tenure.loan.revoked
    assert not tenure.done(0)
    assert not tenure.give_back(0, read())
    assert tenure.lose(0) == 1
    assert tenure.lose(0) == 0


def test_what_is_held_goes_out_when_it_is_due_and_is_not_committed_before() -> None:
    tenure = owner(0, None, 0, 1)
    took(tenure, 2)
    tenure.hold(0, read(due=50.0))
    tenure.done(1)
    assert (tenure.lent, tenure.held, tenure.next_due, tenure.position) == (0, 1, 50.0, 0)
    assert not tenure.due(49.0)
    assert took(tenure, 1) == []
    assert tenure.due(50.0)
    assert took(tenure, 1) == [0]


def test_nothing_is_handed_out_before_it_is_reserved() -> None:
    tenure = owner(5, None, 5, 6)
    assert tenure.take() is None
    assert tenure.asked == 7
    tenure.reserved = tenure.asked
    assert tenure.take() is not None
    assert tenure.take() is not None
    tenure.add([Fetched(7)], 8)
    assert tenure.take() is None


def test_of_a_backlog_no_more_is_reserved_than_goes_out_in_a_moment() -> None:
    """After a crash all that was reserved goes out one by one."""
    tenure = owner(0, None, *range(5_000))
    assert tenure.take() is None
    assert tenure.asked <= 16
    seen: list[int] = []
    while len(seen) < 4_000:
        tenure.reserved = tenure.asked
        while tenure.take() is not None:
            pass
        seen.append(tenure.asked - tenure.reserved)
        if tenure.asked > 4_000:
            break
    assert seen == sorted(seen), "who is quick reserves twice as much each time"
    assert len(seen) < 12


def test_where_events_are_rare_nothing_is_reserved_that_is_not_there() -> None:
    tenure = owner(0, None, 0, 1)
    tenure.take()
    assert tenure.asked == 2
    tenure.reserved = 2
    tenure.take()
    tenure.take()
    assert not tenure.runs_short
    assert tenure.asked == 2


def test_what_comes_steadily_waits_for_no_answer_of_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """250 a second, and an answer takes as long as three of them."""
    now = 1_000.0
    monkeypatch.setattr("busway_kafka._tenure.time.monotonic", lambda: now)
    tenure, asked_at, waited = owner(0, None), None, 0
    for offset in range(2_000):
        now += 0.004
        tenure.add([Fetched(offset)], offset + 1)
        if asked_at is not None and now - asked_at >= 0.012:
            tenure.reserved, asked_at = tenure.asked, None
        while (taken := tenure.take()) is not None:
            assert tenure.done(taken[0])
        waited += bool(tenure.fetched) and offset > 100
        if asked_at is None and (tenure.runs_short or tenure.asked > tenure.reserved):
            asked_at = now
    assert waited == 0
    assert tenure.asked - tenure.position < 250, "after a crash they go out one by one"


def test_more_is_reserved_before_it_is_needed() -> None:
    tenure = owner(0, None, *range(100))
    tenure.take()
    tenure.reserved = first = tenure.asked
    assert not tenure.runs_short
    for _ in range(first // 2):
        tenure.take()
    assert tenure.runs_short
    assert first < tenure.asked <= 100


def test_who_begins_where_nobody_was_has_no_suspects() -> None:
    assert not owner(5, None, 5, 6).suspects


def test_what_a_dead_owner_may_have_had_is_suspect_and_nothing_else() -> None:
    before = owner(0, None, 0, 1, 2)
    took(before, 1)
    position, note = before.note(handed=2)
    after = owner(position, note, 0, 1, 2)
    assert after.suspects
    assert took(after, 1) == [0]
    assert after.suspects
    assert took(after, 1) == [1]
    assert not after.suspects


def test_a_suspect_that_is_given_back_is_one_still() -> None:
    after = owner(0, Note(1, 1).text(), 0, 1)
    took(after, 1)
    assert not after.suspects
    after.give_back(0, read())
    assert after.suspects


def test_what_a_dead_owner_had_done_is_not_handed_out_again() -> None:
    before = owner(0, None, 0, 1, 2, 3)
    took(before, 3)
    before.done(1)
    before.done(2)
    position, note = before.note(handed=4)
    after = owner(position, note, *range(100))
    assert took(after, 3) == [0, 3, 4]


def test_the_owner_after_the_next_hears_of_it_too() -> None:
    before = owner(0, None, 0, 1, 2, 3)
    took(before, 3)
    before.done(1)
    position, note = before.note(handed=4)
    second = owner(position, note, 0, 1, 2, 3)
    took(second, 2)
    second.done(2)
    third = owner(*second.note(handed=4), 0, 1, 2, 3)
    assert took(third, 4) == [0, 3]


def test_who_leaves_in_good_order_leaves_no_suspects_and_what_is_done_stays_done() -> None:
    before = owner(0, None, 0, 1, 2)
    took(before, 3)
    before.done(1)
    before.give_back(0, read())
    before.give_back(2, read())
    after = owner(*before.note(handed=0), 0, 1, 2)
    assert not after.suspects
    assert took(after, 3) == [0, 2]


def test_suspects_stay_so_when_their_owner_leaves_before_they_were_begun() -> None:
    second = owner(0, Note(1, 3).text(), 0, 1, 2, 3)
    third = owner(*second.note(handed=0), 0, 1, 2, 3)
    assert took(third, 2) == [0, 1]
    assert third.suspects


def test_how_often_one_was_begun_alone_is_told_until_it_is_done() -> None:
    before = owner(7, None, 7, 8)
    took(before, 2)
    before.begun[8] = 2
    after = owner(*before.note(handed=9), 7, 8)
    assert after.begun == {8: 2}
    took(after, 2)
    after.done(8)
    assert after.begun == {}


def test_no_more_is_fetched_than_fits_above_what_is_not_finished() -> None:
    tenure = owner(0, None, *range(10))
    assert not tenure.wants(10)
    assert tenure.wants(11)
    tenure.revoke()
    assert not tenure.wants(11)


def test_no_more_is_fetched_than_may_wait_to_be_handed_out() -> None:
    tenure = owner(0, None, *range(10))
    assert not tenure.wants(1_000, 10)
    assert tenure.wants(1_000, 11)


def test_many_partitions_share_what_may_wait_in_one_member() -> None:
    limits = range(16, 1_000)
    assert [share(16_000, parts, limits) for parts in (0, 4, 100, 1_000, 100_000)] == [
        1_000, 1_000, 160, 16, 16,
    ]  # fmt: skip


def test_what_is_taken_or_finished_together_counts_as_if_it_were_one_by_one() -> None:
    tenure = owner(0, None, *range(5))
    tenure.reserved = 5
    assert [record.offset for record in tenure.take_new(3)] == [0, 1, 2]
    assert [record.offset for record in tenure.take_new(3)] == [3, 4]
    assert list(tenure.finish([1, 2, 4])) == []
    assert tenure.position == 0
    assert list(tenure.finish([0, 1, 2])) == [1, 2]
    assert tenure.position == 3
    assert tenure.lent == 1


def test_nothing_that_is_not_reserved_is_taken_together() -> None:
    tenure = owner(0, None, *range(5))
    assert tenure.take_new(5) == []
    tenure.reserved = 2
    assert [record.offset for record in tenure.take_new(5)] == [0, 1]
    assert tenure.take_new(5) == []


def test_what_was_given_back_goes_out_before_what_is_new() -> None:
    tenure = owner(0, None, *range(3))
    tenure.reserved = 5
    [first] = tenure.take_new(1)
    assert tenure.give_back(first.offset, read())
    assert tenure.take_new(3) == []
    taken = tenure.take()
    assert taken is not None
    assert taken[0] == 0
