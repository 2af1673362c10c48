"""The ledger finds each commit that stands above what is not finished."""

from __future__ import annotations

from tests.faults._ledger import Far, Ledger, Lies, Place

__all__: list[str] = []

RED: Place = ("busway.red", 0)
AGAIN: Place = ("busway.red.alpha.retry.now", 0)


def ledger(*events: str) -> Ledger:
    found = Ledger()
    found.add(Lies(RED, offset, event) for offset, event in enumerate(events))
    return found


def test_what_is_finished_may_be_passed() -> None:
    found = ledger("a", "b", "c")
    assert found.unfinished("alpha", {RED: Far(2)}, {"a", "b"}.__contains__) == []
    assert found.passed == 2


def test_what_is_not_finished_may_not() -> None:
    found = ledger("a", "b", "c")
    assert found.unfinished("alpha", {RED: Far(3)}, {"a", "c"}.__contains__) == [Lies(RED, 1, "b")]


def test_what_a_note_calls_done_has_to_be_finished_as_well() -> None:
    found = ledger("a", "b", "c", "d")
    far: dict[Place, Far] = {RED: Far(1, ((2, 3),))}
    assert found.unfinished("alpha", far, {"a", "c"}.__contains__) == [Lies(RED, 3, "d")]


def test_each_group_has_its_own_offset_and_each_record_is_looked_at_once() -> None:
    found = ledger("a", "b")
    for group in ("alpha", "beta", "alpha"):
        assert found.unfinished(group, {RED: Far(2)}, lambda _: True) == []
    assert found.passed == 4
    assert found.next(RED) == 2


def test_what_a_group_tries_again_elsewhere_is_finished_where_it_was_and_for_it_alone() -> None:
    found = ledger("a")
    found.add([Lies(AGAIN, 0, "a")])
    assert found.unfinished("alpha", {RED: Far(1), AGAIN: Far(0)}, lambda _: False) == []
    assert found.unfinished("beta", {RED: Far(1)}, lambda _: False) == [Lies(RED, 0, "a")]
    assert found.unfinished("alpha", {AGAIN: Far(1)}, lambda _: False) == [Lies(AGAIN, 0, "a")]


def test_what_was_written_twice_is_found() -> None:
    found = ledger("a", "b", "a")
    assert found.twice == [Lies(RED, 2, "a")]
    found.add([Lies(AGAIN, 0, "b"), Lies(AGAIN, 1, "b")])
    assert len(found.twice) == 1
