"""What the page on security grants is what a bus needs, and no more."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiokafka.protocol.admin import CreateAclsRequest

from busway import Backoff, Bus, BuswayError, Reject, Retry
from busway_kafka import open_kafka
from tests.servers import GuardedKafka

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/kafka-security.md"
PATIENCE = 30.0

# Kafka's numbers.
KINDS = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefixed": 4}
ALLOW = 3
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8}


def granted() -> Iterator[tuple[int, str, int, str, str, int, int]]:
    """What each line of the page says, as Kafka's protocol has it."""
    read = argparse.ArgumentParser()
    read.add_argument("--add", action="store_true", required=True)
    read.add_argument("--resource-pattern-type", choices=PATTERNS, required=True)
    read.add_argument("--operation", action="append", required=True)
    for name in ("--bootstrap-server", "--allow-principal", "--topic", "--group"):
        read.add_argument(name)
    for line in re.findall(r"^\$ kafka-acls\.sh (.*)$", PAGE.read_text(), re.MULTILINE):
        said = read.parse_args(shlex.split(line))
        what = ("group", said.group) if said.topic is None else ("topic", said.topic)
        pattern = PATTERNS[said.resource_pattern_type]
        for operation in said.operation:
            who = said.allow_principal, "*", OPERATIONS[operation], ALLOW
            yield KINDS[what[0]], what[1], pattern, *who


@pytest.fixture(scope="module")
def secured(kafka_guarded: GuardedKafka) -> GuardedKafka:
    anyio.run(grant, kafka_guarded.url)
    return kafka_guarded


async def grant(url: str) -> None:
    async with open_kafka(url, prefix="operator.") as operator:
        for each in granted():
            request: Any = CreateAclsRequest(*each)
            said = await operator.client.ask(None, request)
            assert [code for code, *_ in said.creation_responses] == [0], each


async def noting(order: int) -> None: ...


async def test_a_worker_may_do_all_that_a_bus_does(secured: GuardedKafka) -> None:
    quick = Retry(attempts=2, backoff=Backoff(first=0.05, jitter="none"), in_place=0)
    bus = Bus(secured.url_of("worker"), service="shop", retry=quick, channels={"bill.**": "order"})
    attempts: list[int] = []
    seen = anyio.Event()

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> str:
        attempts.append(order)
        if order == 1 and attempts.count(1) == 1:
            raise ValueError("once more")
        if order == 2:
            raise Reject("never")
        return "charged"

    @bus.subscribe("order.*", broadcast=True)
    async def show(order: int) -> None:
        seen.set()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await bus.publish("order.placed", 2)
            await bus.publish("order.placed", 3, delay=0.1)
            await seen.wait()
            assert await bus.request("order.asked", 4) == "charged"
            while attempts.count(1) < 2 or 3 not in attempts:
                await anyio.sleep(0.01)
            await bus.drain()
            (letter,) = await bus.dead_letters("billing").list()
            await bus.dead_letters("billing").discard(letter.id)
            assert {each.name for each in await bus.groups()} >= {"billing"}
        async with Bus(secured.url_of("worker"), service="tool") as tool:
            await tool.rewind("billing", to="latest")
            with pytest.raises(BuswayError, match="billing"):
                await tool.remove_group("billing")
        async with Bus(secured.url_of("keeper"), service="tool") as keeper:
            assert await keeper.remove_group("billing")


async def test_a_publisher_may_publish_and_not_read(secured: GuardedKafka) -> None:
    url = secured.url_of("publisher")
    with anyio.fail_after(PATIENCE):
        async with Bus(url, service="web", publish_only=True) as bus:
            await bus.publish("paper.printed", 1)
            await bus.publish("paper.printed", 2, delay=60)
        reading = Bus(url, service="web")
        reading.add(noting, "paper.*")
        with pytest.raises(BuswayError, match="web"):
            await reading.start()


async def test_nobody_may_touch_what_is_not_under_the_prefix(secured: GuardedKafka) -> None:
    with anyio.fail_after(PATIENCE):
        with pytest.raises(BuswayError, match="other"):
            async with Bus(secured.url_of("worker") + "&prefix=other.", service="web") as bus:
                await bus.publish("paper.printed", 1)
