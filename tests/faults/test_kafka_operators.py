"""What operators do to a group and to its quotas, and what members do that no member should."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from busway import PublishError, PublishUnknown
from tests.faults._town import IN_TIME, Town, town
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LATE = 2.0
"""Seconds that this machine may add to a deadline of the bus."""


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    # A quota is measured over the last second or two, and not over ten.
    with started_or_skip(lambda: KafkaServer(config={"quota.window.num": "2"})) as server:
        yield server


async def test_who_is_held_back_by_a_quota_is_told_in_time_and_writes_once(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """A broker answers at once, and then reads nothing more for as long as it said. Who sends all
    the same waits in vain, connects anew, and is above its quota for ever."""
    async with town(server, request, client_id="writer") as here:
        answers = _answers(here, "produce")
        await asyncio.to_thread(_limit, server, "writer", "producer_byte_rate=20000")
        told: dict[str, BaseException | None] = {}

        async def publish(name: str) -> None:
            began = time.monotonic()
            try:
                await here.bus.publish("red.done", {"name": name, "fill": "x" * 10_000}, key="k")
                told[name] = None
            except (PublishError, PublishUnknown) as error:
                told[name] = error
            assert time.monotonic() - began < IN_TIME + LATE, "it was told in time"

        for first in range(0, 10, 5):
            async with asyncio.TaskGroup() as tasks:
                for number in range(5):
                    tasks.create_task(publish(f"n{first + number}"))
        assert _keep_away(answers)
        lies = [name for name in await here.written() if name != "first"]
        assert lies == [name for name, error in told.items() if error is None]
        for error in filter(None, told.values()):
            assert isinstance(error, PublishError)
            assert "a quota of Kafka holds this client back" in str(error)
        await here.handled(lies)
        await here.at_the_end()


async def test_who_may_not_read_so_fast_reads_all_of_it_once(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request, client_id="reader") as here:
        answers = _answers(here, "fetch")
        await asyncio.to_thread(_limit, server, "reader", "consumer_byte_rate=20000")
        names = [f"n{number}" for number in range(5)]
        for name in names:
            await here.bus.publish("red.done", {"name": name, "fill": "x" * 10_000}, key="k")
        await here.handled(names)
        assert _keep_away(answers)
        assert here.seen == ["first", *names]
        await here.at_the_end()


class Answer(NamedTuple):
    asked: float
    answered: float
    held: float
    """Seconds for which the broker reads nothing more of us."""


def _answers(here: Town, lane: str) -> list[Answer]:
    """What a broker says to requests of that kind from now on."""
    found: list[Answer] = []
    ask = here.transport.client.ask

    async def asked(node: Any, request: Any, **named: Any) -> Any:
        began = time.monotonic()
        answer = await ask(node, request, **named)
        if named.get("lane", "").startswith(lane):
            held = answer.throttle_time_ms / 1000
            found.append(Answer(began, time.monotonic(), held))
        return answer

    here.transport.client.ask = asked
    return found


def _keep_away(answers: list[Answer]) -> bool:
    """Nobody asks while he is held back, and somebody is."""
    assert max(each.held for each in answers) > 0.75, "for longer than a request may take"
    return all(b.asked - a.answered >= a.held - 0.05 for a, b in itertools.pairwise(answers))


def _limit(server: KafkaServer, client: str, quota: str) -> None:
    server.tool(
        "kafka.admin.ConfigCommand",
        *("--bootstrap-server", server.servers, "--alter"),
        *("--entity-type", "clients", "--entity-name", client),
        *("--add-config", quota),
    )
