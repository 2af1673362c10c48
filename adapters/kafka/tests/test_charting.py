"""All processes under one prefix agree on where topics lie: the first in the log is right."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import anyio
import pytest

from busway import OptionError
from busway_kafka._reading import read_to_the_end

from .kafka_world import World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(kafka_url: str) -> AsyncIterator[World]:
    async with world(kafka_url) as made:
        await made.topics.ensure_meta()
        yield made


async def records(here: World) -> list[tuple[bytes, bytes | None]]:
    found, _ = await read_to_the_end(here.client, (here.names.meta, 0))
    return [(each.key, each.value) for each in found]


async def test_what_was_recorded_is_there_for_all(here: World, kafka_url: str) -> None:
    assert await here.charting.chart({}) == {}
    assert await here.charting.chart({"red.*": "one"}) == {"red.*": "one"}
    async with world(kafka_url, here.options.prefix) as there:
        both = {"red.*": "one", "blue.**": "two"}
        assert await there.charting.chart({"blue.**": "two"}) == both
        assert await here.charting.chart({"red.*": "one"}) == both
    assert len(await records(here)) == 2


async def test_a_disagreement_records_nothing_and_says_what_to_do(here: World) -> None:
    await here.charting.chart({"red.*": "one"})
    with pytest.raises(OptionError, match=r"'red\.\*': 'three'.*'one'.*kcat -P -Z -K") as refusal:
        await here.charting.chart({"blue": "two", "red.*": "three"})
    assert await here.charting.chart({}) == {"red.*": "one"}
    assert (await records(here))[0][0].decode() in str(refusal.value)


async def test_of_two_that_say_different_things_at_once_the_first_is_right(
    here: World, kafka_url: str
) -> None:
    async with world(kafka_url, here.options.prefix) as there:
        for round in range(10):
            pattern, other = f"p{round}.*", f"q{round}"
            told = await asyncio.gather(
                here.charting.chart({pattern: "one", other: "x"}),
                there.charting.chart({pattern: "two"}),
                return_exceptions=True,
            )
            said = [each for each in told if not isinstance(each, BaseException)]
            assert len(said) == 1, told
            assert sum(isinstance(each, OptionError) for each in told) == 1
            now = await here.charting.chart({})
            assert now == await there.charting.chart({})
            assert now[pattern] == said[0][pattern]
            assert (other in now) == (now[pattern] == "one")


async def test_of_two_that_say_the_same_at_once_both_are_right(here: World, kafka_url: str) -> None:
    async with world(kafka_url, here.options.prefix) as there:
        for round in range(5):
            pattern = f"p{round}.*"
            one, two = await asyncio.gather(
                here.charting.chart({pattern: "one"}), there.charting.chart({pattern: "one"})
            )
            assert one[pattern] == two[pattern] == "one"
        living = dict(await records(here))
        assert len([value for value in living.values() if value is not None]) == 5


async def test_a_record_that_an_operator_removed_can_be_made_anew(here: World) -> None:
    await here.charting.chart({"red.*": "one"})
    ((key, _),) = await records(here)
    await here.charting._write([(key, None)])
    assert await here.charting.chart({"red.*": "two"}) == {"red.*": "two"}


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
async def test_the_command_in_the_refusal_removes_the_record(here: World) -> None:
    await here.charting.chart({"red.{a,b}": "one"})
    with pytest.raises(OptionError) as refusal:
        await here.charting.chart({"red.{a,b}": "two"})
    command = str(refusal.value).partition("remove the record: ")[2]
    command = command.replace("…", here.options.servers[0])
    done = await anyio.run_process(["sh", "-c", command])
    assert done.returncode == 0
    assert await here.charting.chart({"red.{a,b}": "two"}) == {"red.{a,b}": "two"}
