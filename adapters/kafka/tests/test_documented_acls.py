"""What the page on security grants is what a bus needs, and no more."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from aiokafka.protocol.admin import CreateAclsRequest

from busway import Backoff, Bus, BuswayError, Reject, Retry
from busway_kafka import open_kafka
from tests.servers import KafkaServer
from tests.servers._ports import free_port
from tests.servers._tls import _make_certificates
from tests.servers.plugin import started_or_skip

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/kafka-security.md"
PASSWORD = "p@ss/w:rd"
USERS = ("publisher", "worker", "keeper")
PATIENCE = 30.0

# Kafka's numbers.
KINDS = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefixed": 4}
ALLOW = 3
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8}


class Secured(KafkaServer):
    """Who comes without TLS may do everything; who comes with it needs a name, and has what it was
    granted."""

    secured = 0

    def configuration(self) -> dict[str, str]:
        settings = super().configuration()
        self.secured = self.secured or free_port()
        _make_certificates(self.folder)
        pem = self.folder / "server.pem"
        key = (self.folder / "server.key").read_text()
        pem.write_text(key + (self.folder / "server.crt").read_text())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in USERS)
        here = f"SECURED://127.0.0.1:{self.secured}"
        return {
            **settings,
            "listeners": f"{settings['listeners']},{here}",
            "advertised.listeners": f"{settings['advertised.listeners']},{here}",
            "listener.security.protocol.map": (
                f"{settings['listener.security.protocol.map']},SECURED:SASL_SSL"
            ),
            "listener.name.secured.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": f"{module} required {users};",
            "listener.name.secured.ssl.keystore.type": "PEM",
            "listener.name.secured.ssl.keystore.location": str(pem),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def url_of(self, user: str) -> str:
        who = f"{user}:{quote(PASSWORD, safe='')}"
        return f"kafka+sasl_ssl://{who}@127.0.0.1:{self.secured}/?ssl_cafile={self.folder}/ca.crt"


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
def secured() -> Iterator[Secured]:
    with started_or_skip(Secured) as server:
        anyio.run(grant, server.url)
        yield server


async def grant(url: str) -> None:
    async with open_kafka(url, prefix="operator.") as operator:
        for each in granted():
            request: Any = CreateAclsRequest(*each)
            said = await operator.client.ask(None, request)
            assert [code for code, *_ in said.creation_responses] == [0], each


async def noting(order: int) -> None: ...


async def test_a_worker_may_do_all_that_a_bus_does(secured: Secured) -> None:
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


async def test_a_publisher_may_publish_and_not_read(secured: Secured) -> None:
    url = secured.url_of("publisher")
    with anyio.fail_after(PATIENCE):
        async with Bus(url, service="web", publish_only=True) as bus:
            await bus.publish("paper.printed", 1)
            await bus.publish("paper.printed", 2, delay=60)
        reading = Bus(url, service="web")
        reading.add(noting, "paper.*")
        with pytest.raises(BuswayError, match="web"):
            await reading.start()


async def test_nobody_may_touch_what_is_not_under_the_prefix(secured: Secured) -> None:
    with anyio.fail_after(PATIENCE):
        with pytest.raises(BuswayError, match="other"):
            async with Bus(secured.url_of("worker") + "&prefix=other.", service="web") as bus:
                await bus.publish("paper.printed", 1)
