"""What stands beside a committed offset."""

from __future__ import annotations

import pytest

from busway_kafka._notes import Note, ranges

__all__: list[str] = []


def test_a_note_is_read_as_it_was_written() -> None:
    note = Note(1, 7, ((1, 2), (5, 5)), {0: 3})
    assert Note.of(note.text()) == note


@pytest.mark.parametrize(
    "text", [None, "", "of somebody else", "{}", '{"busway":1,"done":7}', '{"busway":1']
)
def test_the_text_of_somebody_else_says_nothing(text: str | None) -> None:
    assert Note.of(text) == Note(1)


def test_what_has_no_room_is_left_out_the_last_first() -> None:
    done = tuple((n, n) for n in range(0, 10_000, 2))
    note = Note(1, 10_000, done, {3: 1})
    text = note.text()
    assert len(text) <= 3_000
    read = Note.of(text)
    assert (read.handed, read.begun) == (10_000, {3: 1})
    assert read.done
    assert read.done == done[: len(read.done)]


def test_so_many_that_were_begun_fit_too() -> None:
    assert len(Note(1, 9, (), dict.fromkeys(range(10_000), 1)).text()) <= 3_000


def test_ranges_are_first_and_last_of_each_run() -> None:
    assert list(ranges([1, 2, 3, 7, 9, 10])) == [(1, 3), (7, 7), (9, 10)]
    assert list(ranges([])) == []


def test_what_is_done_is_counted_from_the_offset() -> None:
    note = Note(1, 9, ((1, 2), (5, 5)))
    assert [n for n in range(8) if note.is_done(n)] == [1, 2, 5]
