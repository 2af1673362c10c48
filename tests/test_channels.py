"""Which channel a topic lies in, and which channels a group has to read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busway._channels import Channels, channels_of, meet
from busway._routing import matcher
from busway.errors import OptionError, PatternError, TopicError
from tests.test_routing import patterns, topics

__all__: list[str] = []


@pytest.mark.parametrize(
    ("topic", "channel"),
    [
        ("order.placed", "order"),
        ("order:placed", "order"),
        ("order.item:added.twice", "order"),
        ("OrderPlaced", "events"),
        ("events.done", "events"),
    ],
)
def test_a_topic_lies_in_its_first_segment_or_in_events(topic: str, channel: str) -> None:
    assert Channels().of(topic) == channel


def test_the_most_specific_override_names_the_channel() -> None:
    channels = Channels({"**": "rest", "audit.**": "audit", "audit.login.*": "logins"})
    assert channels.of("audit.login.failed") == "logins"
    assert channels.of("audit.login") == "audit"
    assert channels.of("audit:login") == "rest"
    assert channels.of("order") == "rest"


def test_of_overrides_that_tie_the_first_counts() -> None:
    assert Channels({"[ab]x.*": "one", "[bc]x.*": "two"}).of("bx.y") == "one"
    assert Channels({"[bc]x.*": "two", "[ab]x.*": "one"}).of("bx.y") == "two"


def test_an_event_may_name_its_own_channel() -> None:
    channels = Channels({"order.*": "orders"})
    assert channels.of("order.placed") == "orders"
    channels.declare("order.placed", "hot")
    assert channels.of("order.placed") == "hot"
    assert channels.of("order.paid") == "orders"
    assert channels.holding(["order.*"]) == frozenset({"orders", "hot"})
    assert channels.holding(["order.placed"]) == frozenset({"hot"})


def test_an_override_of_the_very_topic_goes_before_what_its_event_says() -> None:
    channels = Channels({"order.placed": "orders"})
    channels.declare("order.placed", "hot")
    assert channels.of("order.placed") == "orders"
    assert channels.overrides == {"order.placed": "orders"}


@pytest.mark.parametrize("name", ["", "a b", "a..b", "order.*"])
def test_a_channel_is_named_by_the_rules_of_topics(name: str) -> None:
    with pytest.raises(OptionError, match=r"channels=\{'order\.\*': .*follows a topic's rules"):
        Channels({"order.*": name})
    with pytest.raises(OptionError, match=r"@event\('order\.placed', channel="):
        Channels().declare("order.placed", name)


def test_an_override_needs_a_well_formed_pattern_and_an_event_a_topic() -> None:
    with pytest.raises(PatternError):
        Channels({"order.[": "orders"})
    with pytest.raises(TopicError):
        Channels().declare("order.*", "orders")


@pytest.mark.parametrize(
    ("asked", "overrides", "channels"),
    [
        (["order.*"], {}, {"order"}),
        (["order.**"], {}, {"order", "events"}),
        (["order.*.**"], {}, {"order"}),
        (["order.**.done"], {}, {"order"}),
        (["order.placed", "invoice:*"], {}, {"order", "invoice"}),
        (["{order,invoice}.*"], {}, {"order", "invoice"}),
        (["OrderPlaced"], {}, {"events"}),
        (["Order*"], {}, {"events"}),
        ([], {}, set()),
        (["*"], {}, None),
        (["**"], {}, None),
        (["*.placed"], {}, None),
        (["**.placed"], {}, None),
        (["ord?r.*"], {}, None),
        (["order.*", "*.x"], {}, None),
        (["*"], {"*": "all"}, {"all"}),
        (["order.*"], {"**": "all"}, {"all"}),
        (["*"], {"*": "all", "audit.*": "audit"}, {"all", "audit"}),
        (["audit.**"], {"audit.**": "safe"}, {"safe"}),
        (["audit.login.*"], {"audit.**": "safe"}, {"safe"}),
        (["audit.login"], {"audit.*": "safe"}, {"safe"}),
        (["audit.log*"], {"audit.*": "safe"}, {"safe"}),
        (["audit.*"], {"audit.login": "safe"}, {"safe", "audit"}),
        (["audit.**"], {"audit.*": "safe"}, {"safe", "audit", "events"}),
        (["audit.*"], {"audit:*": "safe"}, {"audit"}),
        (["audit.*"], {"audit:**": "safe"}, {"audit"}),
        (["audit.**"], {"audit:**": "safe"}, {"safe", "audit", "events"}),
        (["audit.*"], {"audit.*.*": "safe"}, {"audit"}),
        (["audit"], {"audit.**": "safe"}, {"safe"}),
        (["order.*"], {"audit.**": "safe"}, {"order"}),
        (["order.a*"], {"order.b*": "safe"}, {"order"}),
        (["order.*a"], {"order.*b": "safe"}, {"order"}),
        (["*.placed"], {"*.placed": "p", "order.*": "o"}, {"p", "o"}),
    ],
)
def test_the_channels_of_patterns_are_told_where_they_can_be(
    asked: list[str], overrides: dict[str, str], channels: set[str] | None
) -> None:
    assert channels_of(asked, overrides) == channels


@settings(max_examples=200, deadline=None)
@given(
    st.lists(patterns, min_size=1, max_size=3),
    st.dictionaries(patterns, st.sampled_from(["c1", "c2", "c3"]), max_size=3),
    st.lists(topics, max_size=20),
)
def test_no_channel_of_a_matching_topic_is_missing(
    asked: list[str], overrides: dict[str, str], published: list[str]
) -> None:
    found = channels_of(asked, overrides)
    matches, of = matcher(asked), Channels(overrides).of
    for topic in published:
        if matches(topic) and found is not None:
            assert of(topic) in found


@pytest.mark.parametrize(
    ("pattern", "others", "together"),
    [
        ("order.paid", ["order.*"], True),
        ("*", ["order.*"], True),
        ("order.paid", ["price.**", "order.paid"], True),
        ("price.*.up", ["price.**"], True),
        ("{order,price}.paid", ["price.**"], True),
        ("order.paid", [], False),
        ("order.paid", ["order.placed", "price.**"], False),
        ("order.paid.twice", ["order.*"], False),
        ("order:paid", ["order.*"], False),
        ("order", ["order.*"], False),
    ],
)
def test_patterns_that_no_topic_matches_both_of_are_told(
    pattern: str, others: list[str], together: bool
) -> None:
    assert meet(pattern, others) is together
