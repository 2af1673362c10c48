"""A broker changes its mind about who may do what, and asks for passwords again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import admin

from busway import PublishError
from tests.faults._town import PATIENCE, Town, town
from tests.servers import GuardedKafka
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

# Half of its types are not exported.
_admin: Any = admin

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

AGAIN_MS = 1000
"""A connection lasts no longer, unless whoever has it says again who he is."""


class Suspicious(GuardedKafka):
    def configuration(self) -> dict[str, str]:
        again = {"listener.name.guarded.connections.max.reauth.ms": str(AGAIN_MS)}
        return {**super().configuration(), **again}


@pytest.fixture(scope="module")
def server() -> Iterator[Suspicious]:
    with started_or_skip(Suspicious) as server:
        yield server


class Rights:
    """What ``worker`` may do: everything with topics and groups, or nothing."""

    def __init__(self, server: GuardedKafka) -> None:
        self._client = _admin.AdminClient({"bootstrap.servers": server.servers})
        self._said = _admin.ResourcePatternType.LITERAL, "User:worker", "*"
        self._may = _admin.AclOperation.ALL, _admin.AclPermissionType.ALLOW

    async def grant(self) -> None:
        kinds = (_admin.ResourceType.TOPIC, _admin.ResourceType.GROUP)
        bindings = [_admin.AclBinding(kind, "*", *self._said, *self._may) for kind in kinds]
        await self._done(self._client.create_acls(bindings))

    async def revoke(self, kind: Any = _admin.ResourceType.ANY) -> None:
        everything = _admin.AclBindingFilter(kind, None, *self._said, *self._may)
        await self._done(self._client.delete_acls([everything]))

    async def _done(self, said: Mapping[Any, Any]) -> None:
        for each in said.values():
            await asyncio.to_thread(each.result, PATIENCE)


async def goes_on(here: Town) -> None:
    """What is published is handled again, however often it takes."""
    async with asyncio.timeout(PATIENCE):
        while "last" not in here.seen:
            with contextlib.suppress(PublishError):
                await here.publish("last")
                await here.handled(["last"])
    await here.at_the_end()


async def refused(here: Town) -> None:
    """Brokers hear of it after a moment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await here.publish("refused")


async def test_who_may_no_more_is_told_so_and_goes_on_when_he_may(
    server: Suspicious, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    rights = Rights(server)
    await rights.grant()
    async with town(server, request, server.url_of("worker")) as here:
        await here.at_the_end()
        here.gate.clear()
        await here.publish("in hand")
        await here.begins(2)
        await rights.revoke()
        with pytest.raises(PublishError, match="grant this user the topic"):
            await refused(here)
        here.gate.set()
        async with asyncio.timeout(PATIENCE):
            while "cannot receive and tries on" not in caplog.text:
                await asyncio.sleep(0.02)
        await rights.grant()
        await here.handled(["in hand"])
        await goes_on(here)
        assert here.seen.count("first") == 1


async def test_who_may_be_no_member_any_more_is_told_so_though_it_sees_the_topics(
    server: Suspicious, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    rights = Rights(server)
    await rights.grant()
    async with town(server, request, server.url_of("worker")) as here:
        await here.at_the_end()
        await rights.revoke(_admin.ResourceType.GROUP)
        async with asyncio.timeout(PATIENCE):
            while "cannot receive and tries on" not in caplog.text:
                await asyncio.sleep(0.02)
        assert "grant this user the group" in caplog.text
        await rights.grant()
        await here.publish("last")
        await here.handled(["last"])
        await here.at_the_end()
        assert here.seen == ["first", "last"]


async def test_a_broker_that_wants_to_hear_again_who_is_there_is_no_outage(
    server: Suspicious, request: pytest.FixtureRequest
) -> None:
    await Rights(server).grant()
    async with town(server, request, server.url_of("worker")) as here:
        until, names = time.monotonic() + 3 * AGAIN_MS / 1000, list[str]()
        while time.monotonic() < until:
            names.append(f"n{len(names)}")
            await here.publish(names[-1])
        assert here.bus.stats().transport["resent_batches"] > 0, "it hung up in the middle"
        await here.handled(names)
        await here.at_the_end()
        assert here.seen == ["first", *names]
        assert await here.written() == ["first", *names]


async def test_a_broker_whose_certificate_has_run_out_is_refused_until_it_has_another(
    server: Suspicious, request: pytest.FixtureRequest
) -> None:
    await Rights(server).grant()
    async with town(server, request, server.url_of("worker")) as here:
        await here.at_the_end()
        await asyncio.to_thread(server.kill)
        server.certify(days=0)
        try:
            await asyncio.to_thread(server.start)
            with pytest.raises(PublishError, match="certificate has expired"):
                await here.publish("refused")
        finally:
            await asyncio.to_thread(server.kill)
            server.certify()
            await asyncio.to_thread(server.start)
        await goes_on(here)
        assert "refused" not in await here.written()
        assert here.seen.count("first") == 1
