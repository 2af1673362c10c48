"""What a pattern and a topic are, what matches, what is more specific."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busway._patterns import MAX_EXPANSIONS, MAX_PATTERN, read_pattern
from busway._routing import matcher
from busway._segments import read_segment
from busway._topics import MAX_TOPIC, check_topic, split_topic
from busway.errors import PatternError, TopicError
from tests.pattern_table import BAD_PATTERNS, BAD_TOPICS, MORE_SPECIFIC, PAGE, TABLE, Row, page

__all__: list[str] = []

ROWS = [row for rows in TABLE.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.pattern} {row.topic}")
def test_the_truth_table_holds(row: Row) -> None:
    assert matcher([row.pattern])(check_topic(row.topic)) is row.matches, row.why


def test_the_reference_page_is_written_from_the_truth_table() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "run: python tests/pattern_table.py"


@pytest.mark.parametrize(("pattern", "message"), BAD_PATTERNS.items())
def test_a_malformed_pattern_is_told_what_to_write_instead(pattern: str, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        read_pattern(pattern)
    assert str(caught.value) == message


@pytest.mark.parametrize(("topic", "message"), BAD_TOPICS.items())
def test_a_malformed_topic_is_told_what_to_write_instead(topic: str, message: str) -> None:
    with pytest.raises(TopicError) as caught:
        check_topic(topic)
    assert str(caught.value) == message


@pytest.mark.parametrize("topic", [f"a{c}b" for c in "*?[]{}\\ \t\n\x00\x7f\u00a0\u200b\ud800"])
def test_a_topic_holds_no_wildcards_no_whitespace_and_nothing_unprintable(topic: str) -> None:
    with pytest.raises(TopicError, match="holds"):
        check_topic(topic)


@pytest.mark.parametrize("pattern", [f"a{c}b" for c in "\\ \t\n\x00\x7f\u00a0\u200b\ud800"])
def test_a_pattern_holds_no_backslash_no_whitespace_and_nothing_unprintable(pattern: str) -> None:
    with pytest.raises(PatternError, match="holds"):
        read_pattern(pattern)


def test_a_topic_of_255_characters_is_the_longest() -> None:
    assert check_topic("a" * MAX_TOPIC) == "a" * MAX_TOPIC
    with pytest.raises(TopicError, match="256 characters long, the most is 255"):
        check_topic("a" * (MAX_TOPIC + 1))


def test_a_pattern_that_is_too_long_is_quoted_in_part() -> None:
    assert read_pattern("a" * MAX_PATTERN)
    with pytest.raises(PatternError, match="is longer than 4096 characters") as caught:
        read_pattern("a" * (MAX_PATTERN + 1))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("wrong", [None, 7, b"order.placed", 1.5])
def test_a_topic_or_pattern_that_is_no_text_is_an_error_of_its_kind(wrong: Any) -> None:
    with pytest.raises(TopicError, match="is no text"):
        check_topic(wrong)
    with pytest.raises(PatternError, match="is no text"):
        read_pattern(wrong)


def test_a_malformed_name_is_refused_every_time_it_is_seen() -> None:
    for _ in range(2):
        with pytest.raises(TopicError):
            check_topic("a..b")
        with pytest.raises(PatternError):
            read_pattern("a..b")


def test_names_seen_are_remembered_up_to_a_bound() -> None:
    for number in range(10_100):
        check_topic(f"seen.{number}")
    assert check_topic.cache_info().currsize == 10_000


def test_a_pattern_stands_for_at_most_256() -> None:
    assert len(read_pattern("{a,b}" * 8)) == MAX_EXPANSIONS == 256
    with pytest.raises(PatternError, match="stands for 512 patterns, the most is 256"):
        read_pattern("{a,b}" * 9)


def test_hostile_alternatives_are_counted_before_they_are_written_out() -> None:
    started = time.process_time()
    with pytest.raises(PatternError, match="stands for"):
        read_pattern("{a,b}" * 800)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "pattern",
    [
        "a*a*a*a*a*a*a*a*a*a*a*a*b",
        "*a*a*a*a*a*a*a*a*a*a*a*a*b*",
        "*?*?*?*?*?*?*?*?*?*?*?*?*?b",
        "*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*1",
        "a*" * 120 + "b",
    ],
)
def test_many_stars_in_a_segment_do_not_backtrack(pattern: str) -> None:
    segment = read_segment(pattern, pattern)
    started = time.process_time()
    for _ in range(10):
        assert not segment.matches("a" * MAX_TOPIC)
    assert time.process_time() - started < 1


def test_many_double_stars_do_not_backtrack() -> None:
    pattern = "**.a." * 20 + "**.b"
    matches = matcher([pattern])
    started = time.process_time()
    assert not matches(".".join("a" * 128))
    assert matches(".".join("a" * 127) + ".b")
    assert time.process_time() - started < 1


def test_a_segment_matches_any_character_that_is_no_separator() -> None:
    assert read_segment("a?b*", "a?b*").matches("a\nb\r\u2028")
    assert read_segment("a?b", "a?b").matches("a\nb")


@pytest.mark.parametrize(("before", "behind", "why"), MORE_SPECIFIC)
def test_the_more_specific_pattern_sorts_first(before: str, behind: str, why: str) -> None:
    ((first,), (second,)) = read_pattern(before), read_pattern(behind)
    assert first.rank < second.rank, why


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*", "**"),
        ("order.*", "order:*"),
        ("order.[ab]", "order.[bc]"),
        ("order.[ab]", "order.[aab]"),
        ("order.[a-c]", "order.[abc]"),
        ("order.a*", "order.b*"),
        ("a.**.z", "b:**:y"),
    ],
)
def test_patterns_of_the_same_shape_tie(one: str, other: str) -> None:
    ((first,), (second,)) = read_pattern(one), read_pattern(other)
    assert first.rank == second.rank


@given(st.text(st.characters(), max_size=40))
def test_a_topic_that_passes_is_a_pattern_that_matches_only_itself(text: str) -> None:
    refusal: TopicError | None = None
    try:
        check_topic(text)
    except TopicError as error:
        refusal = error
    if refusal is not None:
        assert repr(text) in str(refusal)
        return
    matches = matcher([text])
    assert matches(text)
    assert not matches(text + "x")
    assert not matches("x" + text)
    assert "".join(split_topic(text)) == text


@given(st.text("ab.:*?[]{},!-^\\ \n", max_size=20))
def test_any_text_is_a_pattern_or_a_pattern_error_that_quotes_it(text: str) -> None:
    refusal: PatternError | None = None
    try:
        assert 1 <= len(read_pattern(text)) <= MAX_EXPANSIONS
    except PatternError as error:
        refusal = error
    if refusal is not None:
        assert repr(text) in str(refusal)
