"""The trie against the rules written a second time, and the cache against no cache."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busway._patterns import Rank, read_pattern
from busway._routing import Router, matcher
from busway.errors import PatternError
from tests.naive_patterns import naive_match

__all__: list[str] = []

separators = st.sampled_from(".:")
words = st.text("abc", min_size=1, max_size=3)
classes = st.sampled_from(["[ab]", "[!a]", "[a-b]", "[!b-c]", "[c]", "[-b]"])
partials = st.lists(st.one_of(words, classes, st.sampled_from("?*")), min_size=1, max_size=4).map(
    "".join
)
segments = st.one_of(words, st.just("*"), st.just("**"), partials)


@st.composite
def joined(draw: st.DrawFn, parts: st.SearchStrategy[str], most: int) -> str:
    text = draw(parts)
    for _ in range(draw(st.integers(0, most - 1))):
        text += draw(separators) + draw(parts)
    return text


topics = joined(words, 5)
plain_patterns = joined(segments, 5)
braces = st.lists(joined(segments, 2), min_size=1, max_size=3).map(
    lambda parts: "{" + ",".join(parts) + "}"
)


def well_formed(pattern: str) -> bool:
    try:
        read_pattern(pattern)
    except PatternError:
        return False
    return True


patterns = st.one_of(plain_patterns, joined(st.one_of(segments, braces), 3)).filter(well_formed)
registrations = st.lists(st.tuples(patterns, st.integers(0, 4)), max_size=8)


def fill(registered: list[tuple[str, int]]) -> Router[int]:
    router: Router[int] = Router()
    for pattern, value in registered:
        router.add(pattern, value)
    return router


def expected(registered: list[tuple[str, int]], topic: str) -> list[tuple[Rank, int, int]]:
    """Rank, order and value of each that matches, by trying every pattern."""
    return sorted(
        (one.rank, order, value)
        for order, (pattern, value) in enumerate(dict.fromkeys(registered))
        for one in read_pattern(pattern)
        if naive_match(one.text, topic)
    )


@settings(max_examples=250, deadline=None)
@given(patterns, topics)
def test_the_trie_agrees_with_the_naive_matcher(pattern: str, topic: str) -> None:
    assert matcher([pattern])(topic) is naive_match(pattern, topic)


@st.composite
def blurred(draw: st.DrawFn, topic: str) -> str:
    """A pattern made from a topic, so that it is likely to match."""
    text = ""
    for character in topic:
        choice = draw(st.integers(0, 9))
        text += {0: "?", 1: "*", 2: "[abc]", 3: ".**.", 4: ":**:"}.get(choice, character)
    return text


@settings(max_examples=250, deadline=None)
@given(st.data(), topics)
def test_the_trie_agrees_on_patterns_that_almost_fit(data: st.DataObject, topic: str) -> None:
    pattern = data.draw(blurred(topic).filter(well_formed))
    assert matcher([pattern])(topic) is naive_match(pattern, topic)


@settings(max_examples=120, deadline=None)
@given(registrations, st.lists(topics, max_size=5))
def test_match_is_every_match_in_order_of_rank_and_adding(
    registered: list[tuple[str, int]], asked: list[str]
) -> None:
    router = fill(registered)
    for topic in asked:
        values = [value for _, _, value in expected(registered, topic)]
        assert router.match(topic) == tuple(dict.fromkeys(values))


@settings(max_examples=120, deadline=None)
@given(registrations, st.lists(topics, max_size=5))
def test_best_is_what_ties_with_the_most_specific_match(
    registered: list[tuple[str, int]], asked: list[str]
) -> None:
    router = fill(registered)
    for topic in asked:
        found = expected(registered, topic)
        values = [value for rank, _, value in found if rank == found[0][0]]
        assert router.best(topic) == tuple(dict.fromkeys(values))


@settings(max_examples=100, deadline=None)
@given(registrations, st.lists(topics, max_size=30))
def test_the_cache_never_changes_an_answer(
    registered: list[tuple[str, int]], asked: list[str]
) -> None:
    small: Router[int] = Router(topics=4)
    for pattern, value in registered:
        small.add(pattern, value)
    for topic in asked * 2:
        fresh = fill(registered)
        assert small.match(topic) == fresh.match(topic)
        assert small.best(topic) == fresh.best(topic)
        assert small.cache[topic] == fresh.match(topic)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), patterns, st.integers(0, 2)), max_size=25),
    st.lists(topics, min_size=1, max_size=4),
)
def test_adding_and_removing_equals_rebuilding(
    steps: list[tuple[bool, str, int]], asked: list[str]
) -> None:
    router: Router[int] = Router()
    left: dict[tuple[str, int], None] = {}
    for adds, pattern, value in steps:
        if adds:
            router.add(pattern, value)
            left.setdefault((pattern, value))
        else:
            gone = next(iter(left), (pattern, value))
            router.remove(*gone)
            left.pop(gone, None)
        fresh = fill(list(left))
        assert router.patterns == fresh.patterns
        for topic in asked:
            assert router.match(topic) == fresh.match(topic)
            assert router.best(topic) == fresh.best(topic)


def test_a_value_stands_once_where_its_most_specific_pattern_puts_it() -> None:
    router: Router[str] = Router()
    router.add("**", "log")
    router.add("order.*", "billing")
    router.add("order.placed", "log")
    assert router.match("order.placed") == ("log", "billing")
    assert router.match("order.paid") == ("billing", "log")


def test_equal_patterns_compete_and_stand_in_order_of_adding() -> None:
    router: Router[str] = Router()
    router.add("order.*", "second")
    router.add("order.*", "first")
    router.add("**", "third")
    assert router.best("order.placed") == ("second", "first")
    assert router.best("invoice.sent") == ("third",)


def test_of_no_pattern_nothing_matches() -> None:
    router: Router[str] = Router()
    assert router.match("order.placed") == router.best("order.placed") == ()
    assert matcher([])("order.placed") is False


def test_the_cache_is_one_dict_for_the_life_of_a_router() -> None:
    router: Router[str] = Router(topics=4)
    cache, best = router.cache, router.best_cache
    for number in range(19, -1, -1):
        assert router.match(f"t.{number}") == router.best(f"t.{number}") == ()
    assert cache["t.0"] == best["t.0"] == ()
    router.add("t.*", "one")
    assert cache == best == {}
    for number in range(20):
        assert router.match(f"t.{number}") == router.best(f"t.{number}") == ("one",)
    assert router.cache is cache
    assert router.best_cache is best
    assert cache == best == {"t.18": ("one",), "t.19": ("one",)}


def test_adding_a_pair_twice_and_removing_what_is_not_there_change_nothing() -> None:
    router: Router[str] = Router()
    router.add("a", "one")
    router.add("a", "one")
    router.remove("a", "other")
    router.remove("b", "one")
    assert router.match("a") == ("one",)
    router.remove("a", "one")
    assert router.match("a") == router.patterns == ()


def test_a_malformed_pattern_is_not_added() -> None:
    router: Router[str] = Router()
    with pytest.raises(PatternError):
        router.add("{a.b,c..d}", "one")
    assert router.patterns == ()
    assert router.match("a.b") == ()


@pytest.mark.parametrize("topic", ["", ".", "a..b", ".a", "a.", "a b", "*", "[", "a.*", "x" * 9999])
def test_a_malformed_topic_off_a_wire_matches_star_and_raises_nothing(topic: str) -> None:
    router: Router[str] = Router()
    for pattern in ("*", "**.a", "a.**.b", "a*", "?", "[a]", "*.*"):
        router.add(pattern, pattern)
    assert "*" in router.match(topic)
    assert matcher(["**"])(topic)


def test_a_topic_longer_than_can_be_published_is_not_remembered() -> None:
    router: Router[str] = Router()
    router.add("*", "one")
    assert router.match("a" * 256) == router.best("a" * 256) == ("one",)
    assert router.cache == router.best_cache == {}


def test_a_million_distinct_topics_leave_memory_flat() -> None:
    router: Router[str] = Router()
    router.add("order.*", "one")
    for number in range(1_000_000):
        router.match(f"order.{number}")
        if not number % 1_000:
            assert len(router.cache) <= 5_000
    assert len(router.cache) + len(router._matches.older) <= 10_000


def test_what_distinct_topics_take_does_not_grow_with_their_number() -> None:
    router: Router[str] = Router(topics=200)
    router.add("order.*", "one")

    def ask(first: int, last: int) -> int:
        for number in range(first, last):
            router.match(f"order.{number}")
            router.best(f"order.{number}")
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few = ask(100_000, 101_000)
        many = ask(101_000, 111_000)
    finally:
        tracemalloc.stop()
    assert many - few < 10_000  # bytes; a topic and its entry take more than 100


def test_patterns_that_come_and_go_leave_nothing_behind() -> None:
    router: Router[str] = Router()
    router.add("keep.*", "one")
    for number in range(1_000):
        router.add(f"gone_{number}.*.x?y_{number}", "two")
        router.remove(f"gone_{number}.*.x?y_{number}", "two")
    assert len(router._root.literals or {}) <= 70
    assert router.match("keep.it") == ("one",)


def test_a_miss_touches_only_the_branches_of_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among 10,000 patterns of many kinds, a new topic looks at a few nodes."""
    from busway._trie import Node

    router: Router[int] = Router()
    for number in range(2_000):
        router.add(f"svc_{number}.created", number)
        router.add(f"*.done_{number}", number)
        router.add(f"svc_{number}*.deleted", number)
        router.add(f"*_{number}.deleted", number)
        router.add(f"**.last_{number}", number)
    visits = 0
    follow = Node[int].follow

    def counted(node: Node[int], token: str, separator: str, reached: set[Node[int]]) -> None:
        nonlocal visits
        visits += 1
        follow(node, token, separator, reached)

    monkeypatch.setattr(Node, "follow", counted)
    assert router.match("svc_77.created") == (77,)
    assert router.match("svc_77.deleted") == (77, 7)
    assert router.match("a.b:c.last_5") == (5,)
    assert visits < 30
