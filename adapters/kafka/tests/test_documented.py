"""The documentation has all that there is, and what it shows is so."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from busway import Bus
from busway_kafka import open_kafka
from busway_kafka._notes import Note
from busway_kafka._options import OWN, Options
from busway_kafka._tiers import TIERS
from busway_kafka._url import CLIENT, SASL, TLS
from tests.emptying import emptied
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).resolve().parents[3] / "docs"
REFERENCE = (DOCS / "reference/kafka.md").read_text()
OTHERS = (DOCS / "how-to/kafka-from-other-languages.md").read_text()
CACHE = Path(os.environ.get("BUSWAY_KAFKA_JARS") or Path.home() / ".cache/busway")
JARS = sorted(CACHE.rglob("kafka-clients-*.jar"))


def rows_of(heading: str, text: str = REFERENCE) -> dict[str, str]:
    """The first column of the first table behind a heading, and the second."""
    behind = text.partition(f"## {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", behind, re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip() for cell in row.split("|")] for row in rows[0].splitlines()[2:]]
    return {cell[1].strip("`"): cell[2].strip("`") for cell in cells}


def test_the_page_has_every_option() -> None:
    assert set(rows_of("Options")) == set(OWN)


def test_the_page_has_the_defaults() -> None:
    given = {name: said for name, said in rows_of("Options").items() if said[0].isdigit()}
    given = {name: said.partition("`")[0] for name, said in given.items()}
    assert len(given) == 7
    plain = Options()
    for name, said in given.items():
        assert OWN[name](name, said) == getattr(plain, name), name
    named = {"prefix": plain.prefix, "mode": plain.mode, "create": plain.create}
    assert {name: rows_of("Options")[name] for name in named} == named


def test_the_page_has_every_option_of_the_client() -> None:
    (sentence,) = re.findall(r"^Of the client: (.*?);? no others\.", REFERENCE, re.M | re.S)
    assert set(re.findall(r"`(\w+)`", sentence)) == {*CLIENT, *TLS, *SASL}


def test_the_page_has_every_tier() -> None:
    assert list(rows_of("Tiers")) == list(TIERS)


def test_the_page_has_every_field_of_a_note() -> None:
    assert set(rows_of("Notes")) == {"busway", *Note.__struct_fields__} - {"version"}


def test_the_page_has_every_number_of_the_transport() -> None:
    assert set(rows_of("Numbers")) == set(open_kafka("kafka://localhost").report())


# --- the wire, as others see it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as started:
        yield started


@pytest.fixture
def plain_kafka(server: KafkaServer) -> KafkaServer:
    """With nothing under the default prefix."""
    return emptied(server)


async def shell(command: str | Sequence[str], server: KafkaServer) -> str:
    if isinstance(command, str):
        command = command.replace("localhost:9092", server.servers)
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def publish(server: KafkaServer) -> None:
    async with Bus(server.url, service="shop") as bus:
        for number in range(4):
            order = {"id": f"o-{number}"}
            await bus.publish("order.placed", order, key=order["id"])


async def test_kcat_reads_what_we_write_and_writes_what_we_read(plain_kafka: KafkaServer) -> None:
    """The last command of the page writes an event of a key that is there: beside the first one."""
    if shutil.which("kcat") is None:
        pytest.skip("there is no kcat")
    await publish(plain_kafka)
    *reading, writing = re.findall(r"^\$ (.*kcat .*)$", OTHERS, re.MULTILINE)
    assert len(reading) == 3
    documents, places, topics = [await shell(each, plain_kafka) for each in reading]
    assert "o-1 {" in documents
    assert '"type":"order.placed"' in documents
    assert len(places.splitlines()) == 4
    assert 'topic "busway.order" with 4 partitions' in topics
    await shell(writing, plain_kafka)
    shown = await shell(reading[0].replace("%k %s", "%k %p"), plain_kafka)
    lines = [line for line in shown.splitlines() if line.startswith("o-2 ")]
    assert len(lines) == 2
    assert len(set(lines)) == 1, "one key, one partition"
    got: list[str] = []
    bus = Bus(plain_kafka.url, service="shop")

    @bus.subscribe("order.*", group="billing")
    async def charge(order: dict[str, object]) -> None:
        if "total" in order:
            got.append(str(order["id"]))

    with anyio.fail_after(20):
        async with bus:
            while not got:
                await anyio.sleep(0.01)
    assert got == ["o-2"]


async def test_the_reader_in_java_reads(plain_kafka: KafkaServer, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```java\n(.*?)^```$", OTHERS, re.MULTILINE | re.DOTALL)
    if shutil.which("javac") is None or not JARS:
        pytest.skip("there is no compiler for Java, or no client for Kafka in it")
    (tmp_path / "Read.java").write_text(program)
    await publish(plain_kafka)
    where = [str(tmp_path / "Read.java"), plain_kafka.servers]
    said = await shell(["java", "-cp", f"{JARS[-1].parent}/*", *where], plain_kafka)
    assert 'o-1 {"specversion":"1.0"' in said


async def test_a_command_is_run_beside_a_server_of_its_own() -> None:
    """What ``make demo-kafka`` does; its exit status is the command's."""
    program = "import os, sys; sys.exit(3 if os.environ['BUSWAY_URL'].startswith('kafka') else 4)"
    tool = DOCS.parent / "tools" / "with_kafka.py"
    done = await anyio.run_process(
        [sys.executable, tool, sys.executable, "-c", program], check=False
    )
    assert done.returncode == 3, done.stderr


async def test_the_demo_accounts_for_every_flight(plain_kafka: KafkaServer) -> None:
    done = await anyio.run_process(
        [sys.executable, "-m", "examples.flights", "--limit", "200", "--url", plain_kafka.url],
        cwd=DOCS.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"200 of 200 accounted for" in done.stdout
