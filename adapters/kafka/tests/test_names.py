"""What topics and groups are called: nobody's name is another's, and each can be taken apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from busway import OptionError
from busway.transport import Address, Purpose
from busway_kafka._names import LONGEST, Names
from busway_kafka._tiers import TIERS

LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")
SHORT = ["a", "b", "x", "_", "_x", "x3a_", "_x3a_", "_x2e_", ".", "..", ":", "é", "\U0001f600", " "]
SHORT += ["dead", ".dead", "reply", "retry", ".retry.", "now", "10s", "long", "__busway", "-", "/"]

parts = st.lists(st.sampled_from(SHORT), min_size=1, max_size=4).map("".join)
channels = parts.filter(lambda text: not re.search(r"^[.:]|[.:][.:]|[.:]\Z| ", text))
prefixes = st.sampled_from(["busway.", "", "shop_", "x", "a.b."])


@st.composite
def addresses(draw: st.DrawFn) -> tuple[Address, str]:
    purpose = draw(st.sampled_from(Purpose))
    tier = draw(st.sampled_from(list(TIERS))) if purpose is Purpose.RETRY else ""
    group = None if purpose is Purpose.EVENT else draw(parts)
    return Address(draw(channels), purpose, group), tier


def topic_of(names: Names, address: Address, tier: str) -> str | None:
    """None where there is none."""
    try:
        return names.topic(address, tier or "now")
    except OptionError:
        return None


@given(prefixes, addresses())
@example("busway.", (Address("a_", Purpose.RETRY, ".g"), "10s"))
@example("", (Address("a.g", Purpose.DEAD, ".dead"), ""))
def test_an_address_is_read_back_from_its_topic(prefix: str, wanted: tuple[Address, str]) -> None:
    names = Names(prefix)
    topic = topic_of(names, *wanted)
    if topic is not None:
        assert LEGAL.fullmatch(topic)
        assert names.address_of(topic) == wanted


@given(prefixes, addresses(), addresses())
@example("", (Address("a", Purpose.DEAD, ".g"), ""), (Address("a.g", Purpose.DEAD, "x"), ""))
@example("", (Address("a", Purpose.DEAD, "b.c"), ""), (Address("a.b", Purpose.DEAD, "c"), ""))
@example("", (Address("a.b.dead"), ""), (Address("a", Purpose.DEAD, "b"), ""))
@example("", (Address("a_x3a_b"), ""), (Address("a:b"), ""))
@example("", (Address("_x3a:"), ""), (Address(":x3a:"), ""))
def test_no_two_addresses_share_a_topic(
    prefix: str, one: tuple[Address, str], other: tuple[Address, str]
) -> None:
    names = Names(prefix)
    first, second = topic_of(names, *one), topic_of(names, *other)
    assert one == other or first is None or first != second


@given(prefixes, st.text(max_size=40) | parts)
def test_any_text_is_a_topic_of_ours_or_none(prefix: str, text: str) -> None:
    names = Names(prefix, ".*")
    found = names.address_of(text)
    if found is not None:
        assert names.topic(found[0], found[1] or "now") == text
    channel = names.channel_of(text)
    assert channel is None or names.topic(Address(channel)) == text


@pytest.mark.parametrize(
    ("address", "tier", "topic"),
    [
        (Address("order"), "", "busway.order"),
        (Address("order.eu"), "", "busway.order.eu"),
        (Address("order:eu"), "", "busway.order_x3a_eu"),
        (Address("order_x"), "", "busway.order_x"),
        (Address("order_xab_"), "", "busway.order_x5f_xab_"),
        (Address("order", Purpose.RETRY, "billing"), "10s", "busway.order.billing.retry.10s"),
        (Address("order.eu", Purpose.RETRY, "b.c"), "now", "busway.order..eu.b.c.retry.now"),
        (Address("order", Purpose.DEAD, "billing"), "", "busway.order.billing.dead"),
        (Address("order", Purpose.DEAD, "my group/1"), "", "busway.order.my_x20_group_x2f_1.dead"),
        (Address("reply", Purpose.REPLY, "asker"), "", "busway.reply.asker.reply"),
    ],
)
def test_these_names_are_for_good(address: Address, tier: str, topic: str) -> None:
    assert Names().topic(address, tier or "now") == topic
    assert Names().address_of(topic) == (address, tier)


def test_without_a_prefix_a_topic_of_another_program_is_a_channel_as_it_stands() -> None:
    names = Names("", ".*")
    for topic in ("orders", "my_topic", "user_xp", "a.b-c_d", "orders.dead", "a_x3a", "X"):
        assert names.topic(Address(topic)) == topic
        assert names.channel_of(topic) == topic


def test_wildcards_follow_the_topics_under_the_prefix_and_no_derived_ones() -> None:
    names = Names()
    assert names.channel_of("busway.order") == "order"
    assert names.channel_of("busway.order_x3a_eu") == "order:eu"
    for other in (
        "order",
        "busway.",
        "busway.__busway",
        "busway.order.billing.dead",
        "busway.order.billing.reply",
        "busway.order.billing.retry.10s",
        "busway.order_x41_eu",
        "__consumer_offsets",
    ):
        assert names.channel_of(other) is None, other


def test_without_a_prefix_wildcards_follow_nothing_but_what_follow_says() -> None:
    assert Names("").channel_of("order") is None
    names = Names("", "order.*|__.*")
    assert names.channel_of("order.eu") == "order.eu"
    assert names.channel_of("my.order") is None
    assert names.channel_of("order.billing.dead") is None
    assert names.channel_of("__consumer_offsets") is None
    assert Names("shop.", r"shop\.a.*").channel_of("shop.b") is None


def test_what_another_prefix_below_ours_keeps_for_itself_is_not_followed() -> None:
    assert Names("a.").channel_of(Names("a.b.").meta) is None
    assert Names("a").channel_of(Names("ab").meta) is None


@pytest.mark.parametrize(
    "channel", ["order.billing.dead", "a.b.reply", "a.b.c.retry.10s", "__busway", "x.__busway"]
)
def test_a_channel_that_looks_derived_is_refused(channel: str) -> None:
    with pytest.raises(OptionError, match="would look like"):
        Names().topic(Address(channel))


def test_a_name_over_the_limit_is_refused_with_its_length() -> None:
    room = LONGEST - len("busway.")
    assert len(Names().topic(Address("a" * room))) == LONGEST
    with pytest.raises(OptionError, match=r"250 characters, and Kafka takes 249: .*shorter"):
        Names().topic(Address("a" * (room + 1)))
    with pytest.raises(OptionError, match="Kafka takes 249"):
        Names().topic(Address("é" * 50))


def test_a_refusal_is_the_same_each_time() -> None:
    names = Names()
    for _ in range(2):
        with pytest.raises(OptionError):
            names.topic(Address("a.b.dead"))


def test_names_are_made_again_when_too_many_are_remembered() -> None:
    names = Names()
    for number in range(10_100):
        names.topic(Address("order", Purpose.REPLY, f"p{number}"))
    assert names.topic(Address("order", Purpose.REPLY, "p1")) == "busway.order.p1.reply"


@pytest.mark.parametrize("prefix", ["bus way", "büs", "a/b", "{a}"])
def test_a_prefix_is_what_kafka_takes(prefix: str) -> None:
    with pytest.raises(OptionError, match="Kafka takes letters, digits"):
        Names(prefix)


def test_follow_must_be_a_regular_expression() -> None:
    with pytest.raises(OptionError, match=r"follow='\(' is no regular expression"):
        Names("", "(")


def test_a_group_has_the_prefix_before_its_name() -> None:
    names = Names()
    assert names.group("billing") == "busway.billing"
    assert names.group_of("busway.billing") == "billing"
    assert names.group_of("busway.") is None
    assert names.group_of("other") is None
    assert Names("").group_of("other") == "other"
