"""What lies in Kafka is read without a group, and dead letters are taken away one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from busway import OptionError
from busway.transport import Address, Purpose, Raw

from .kafka_world import STORY, World, data_of, world

pytestmark = pytest.mark.anyio

EVENTS = Address("order")
DEAD = Address("order", Purpose.DEAD, "billing")


@pytest.fixture
async def here(kafka_url: str) -> AsyncIterator[World]:
    async with world(kafka_url) as made:
        yield made


async def test_where_nobody_sent_to_there_is_nothing(here: World) -> None:
    for address in (EVENTS, DEAD, Address("order", Purpose.RETRY, "billing")):
        assert await here.browse(address) == []
    assert not await here.browsing.discard(DEAD, f"{0:05d}-{0:019d}")
    assert await here.browsing.addresses(Purpose.DEAD, "billing") == []


async def test_events_of_one_key_are_browsed_in_order_and_from_a_position_on(here: World) -> None:
    await here.send(EVENTS, *range(2_500))
    entries = await here.browse(EVENTS)
    assert data_of(entries) == list(range(2_500))
    positions = [each.position for each in entries]
    assert positions == sorted(set(positions))
    assert data_of(await here.browse(EVENTS, positions[2_400])) == list(range(2_401, 2_500))
    assert await here.browse(EVENTS, positions[-1]) == []


async def test_positions_of_all_partitions_sort_as_they_are_browsed(here: World) -> None:
    _, width = await here.topics.ensure(EVENTS)
    assert width == 4
    for number in range(40):
        raw = Raw(b"%d" % number)
        await here.send(EVENTS, number if number % 2 else raw)
    entries = await here.browse(EVENTS)
    assert len(entries) == 40
    positions = [each.position for each in entries]
    assert positions == sorted(set(positions))
    for place, position in enumerate(positions):
        assert [each.position for each in await here.browse(EVENTS, position)] == positions[
            place + 1 :
        ]


async def test_retries_are_browsed_tier_by_tier(here: World) -> None:
    retry = Address("order", Purpose.RETRY, "billing")
    await here.send(retry, "later", tier="1h", story=STORY, attempt=4)
    await here.send(retry, "now", "then", attempt=2)
    entries = await here.browse(retry)
    assert data_of(entries) == ["now", "then", "later"]
    assert (entries[2].story, entries[2].attempt) == (STORY, 4)
    for place, entry in enumerate(entries):
        assert await here.browse(retry, entry.position) == entries[place + 1 :]
    assert await here.browsing.addresses(Purpose.RETRY, "billing") == [retry]


async def test_the_addresses_are_those_of_one_purpose_and_group(here: World) -> None:
    await here.send(EVENTS, 1)
    await here.send(DEAD, 1)
    await here.send(Address("user.eu", Purpose.DEAD, "billing"), 1)
    await here.send(Address("order", Purpose.DEAD, "audit"), 1)
    assert await here.browsing.addresses(Purpose.EVENT, None) == [EVENTS]
    assert await here.browsing.addresses(Purpose.DEAD, "billing") == [
        DEAD,
        Address("user.eu", Purpose.DEAD, "billing"),
    ]


async def test_a_letter_has_its_whole_story_and_the_events_key(here: World) -> None:
    raw = Raw(b"\xff", "x/y", {"a": ""}, "garbage")
    await here.send(DEAD, "a", raw, attempt=4, story=STORY)
    letter, other = await here.browse(DEAD)
    assert (letter.story, letter.attempt) == (STORY, 4)
    assert not isinstance(letter.content, Raw)
    assert letter.content.key == "k"
    assert (other.content, other.story) == (raw, STORY)


async def test_a_discarded_letter_is_gone_and_its_neighbours_stay(here: World) -> None:
    await here.send(DEAD, *"abc")
    entries = await here.browse(DEAD)
    assert await here.browsing.discard(DEAD, entries[1].position)
    assert not await here.browsing.discard(DEAD, entries[1].position)
    assert await here.browse(DEAD) == [entries[0], entries[2]]
    assert await here.browse(DEAD, entries[0].position) == [entries[2]]
    await here.send(DEAD, "d")
    assert data_of(await here.browse(DEAD)) == ["a", "c", "d"]


async def test_what_one_process_discards_the_others_see(here: World, kafka_url: str) -> None:
    await here.send(DEAD, *"abc")
    async with world(kafka_url, here.options.prefix) as there:
        entries = await there.browse(DEAD)
        assert await here.browsing.discard(DEAD, entries[0].position)
        assert await there.browse(DEAD) == entries[1:]
        assert not await there.browsing.discard(DEAD, entries[0].position)
        (topic,) = [t for t in there.client.leaders if there.names.address_of(t)]
        assert await there.shelf.count([topic]) == {topic: 2}


async def test_many_letters_are_discarded_without_reading_all_each_time(here: World) -> None:
    await here.send(DEAD, *range(2_000))
    entries = await here.browse(DEAD)
    began = asyncio.get_running_loop().time()
    for entry in entries[:200]:
        assert await here.browsing.discard(DEAD, entry.position)
    assert asyncio.get_running_loop().time() - began < 10
    assert data_of(await here.browse(DEAD)) == list(range(200, 2_000))


async def test_a_topic_that_was_made_anew_is_read_anew(here: World) -> None:
    await here.begin("billing")
    topic = await here.send(DEAD, *"abc")
    assert len(await here.browse(DEAD)) == 3
    assert await here.moving.remove("billing")
    assert await here.browse(DEAD) == []
    assert await here.send(DEAD, "d") == topic
    assert data_of(await here.browse(DEAD)) == ["d"]


async def test_nothing_but_dead_letters_can_be_discarded(here: World) -> None:
    await here.send(EVENTS, 1)
    (entry,) = await here.browse(EVENTS)
    with pytest.raises(OptionError, match="dead letters one by one"):
        await here.browsing.discard(EVENTS, entry.position)


@pytest.mark.parametrize("position", ["", "x", "1", "1-2-3-4", "1--2"])
async def test_a_position_that_is_none_is_an_option_error(here: World, position: str) -> None:
    with pytest.raises(OptionError, match="no position"):
        await here.browsing.discard(DEAD, position)
