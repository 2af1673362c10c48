"""What other programs wrote is read by a decoder of the application's, or set aside as it came."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from busway import Bus, Envelope, OptionError
from busway.transport import Address, Raw
from busway_kafka import Foreign, KafkaTransport, open_kafka
from busway_kafka._foreign import Decoder, reader
from busway_kafka._notes import Note
from busway_kafka._suspecting import Suspecting
from busway_kafka._tenure import Tenure

from .records import Fetched, owner

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


def clicked(record: Foreign) -> Envelope | None:
    if record.value is None:
        return None
    click = json.loads(record.value)
    return Envelope("click.seen", click, headers={"kind": "click"})


def said_of(record: Fetched, decoder: Decoder) -> Any:
    tenure = Tenure("clicks", 2, Address("clicks"), 1, 0, Note(1))
    return reader(decoder)(tenure, record).content


async def written(servers: str, topic: str, since: int) -> None:
    """As a program writes that knows nothing of the bus. ``since``: milliseconds."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 3, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for n in range(6):
            value = json.dumps({"n": n}).encode()
            await producer.send_and_wait(topic, value, key=b"k%d" % (n % 2), timestamp_ms=since + n)
        await producer.send_and_wait(topic, b"\xff no JSON", key=b"k0", headers=[("who", b"me")])
        await producer.send_and_wait(topic, None, key=b"k1")


async def test_a_topic_of_another_program_is_read_by_a_decoder_and_the_rest_is_set_aside(
    kafka_url: str,
) -> None:
    name = uuid.uuid4().hex[:8]
    topic, group = f"clicks-{name}", f"g{name}"
    transport = open_kafka(f"{kafka_url}?prefix=", decoder=clicked)
    since = int(time.time() * 1000)
    await written(transport.options.servers[0], topic, since)
    bus = Bus(transport, service="shop", channels={"click.*": topic})
    seen: list[Envelope] = []
    dead: list[Any] = []

    @bus.subscribe("click.*", group=group)
    async def see(click: dict[str, int], message: Any) -> None:
        seen.append(message.envelope)

    with anyio.fail_after(PATIENCE):
        async with bus:
            while len(dead) < 2 or len(seen) < 6:
                dead = list(await bus.dead_letters(group).list())
                await anyio.sleep(0.02)
    for key in ("k0", "k1"):
        mine = [each for each in seen if each.key == key]
        assert [each.timestamp for each in mine] == sorted(each.timestamp for each in mine)
    assert {(each.source, each.headers["kind"]) for each in seen} == {(topic, "click")}
    assert len({each.id for each in seen}) == 6
    assert all(each.id.startswith(f"{topic}-") for each in seen)
    assert sorted(each.timestamp for each in seen) == [(since + n) / 1000 for n in range(6)]
    by_value = {each.content.data: each for each in dead}
    bad = by_value[b"\xff no JSON"]
    assert bad.content.headers["who"] == "me"
    assert "the decoder raised UnicodeDecodeError" in bad.content.reason
    assert "made nothing of it" in by_value[b""].content.reason


async def test_the_id_is_of_the_place_and_what_the_decoder_says_counts() -> None:
    record = Fetched(7, 5000, b"k", b'{"n":1}')
    first, second = said_of(record, clicked), said_of(record, clicked)
    assert first.id == second.id == "clicks-2-7"
    assert (first.key, first.timestamp, first.source) == ("k", 5.0, "clicks")

    own = Envelope("click.seen", 1, "web", 9.0, "mine", "id-1")
    said = said_of(record, lambda _: own)
    assert (said.key, said.timestamp, said.source, said.id) == ("mine", 9.0, "web", "id-1")


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (None, "made nothing of it"),
        ({"type": "click.seen"}, "returned a dict, no Envelope"),
        (Envelope("", {}), "cannot be used"),
        (Envelope("click.seen", object()), "cannot be used"),
    ],
)
async def test_what_a_decoder_cannot_make_an_event_of_stays_as_it_came(
    returned: Any, why: str
) -> None:
    record = Fetched(7, 5000, b"k", b"\x00\x01", (("who", b"me"),))
    said = said_of(record, lambda _: returned)
    assert isinstance(said, Raw)
    assert (said.data, dict(said.headers)) == (b"\x00\x01", {"who": "me"})
    assert why in said.reason


@pytest.mark.parametrize(
    "headers",
    [
        (("content-type", b"application/cloudevents+json"),),
        (("Content-Type", b"Application/CloudEvents+JSON; charset=utf-8"),),
        (("ce_specversion", b"1.0"),),
        (("busway-raw", b"nobody could read it"),),
    ],
)
async def test_what_says_that_it_is_an_event_and_is_damaged_is_no_matter_of_the_decoder(
    headers: Any,
) -> None:
    said = said_of(Fetched(7, 5000, b"k", b'{"n":1}', headers), clicked)
    assert isinstance(said, Raw)


async def test_an_event_of_ours_is_read_as_ever_beside_a_decoder() -> None:
    def never(record: Foreign) -> Envelope:
        raise AssertionError(record)

    document = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}'
    assert said_of(Fetched(7, 5000, b"k", document), never).type == "t"


async def test_what_a_dead_owner_may_have_had_is_decoded_too() -> None:
    class Committer:
        async def commit(self, tenures: Any) -> None: ...

    committer: Any = Committer()
    tenure = owner(0, Note(1, 3).text())
    tenure.add([Fetched(0, 5000, b"k", b'{"n":1}')], 1)
    tenure.reserved = 1
    suspecting = Suspecting(committer, lambda *_: None, reader(clicked))
    delivery = await suspecting.next([tenure], time.time())
    assert delivery is not None
    assert isinstance(delivery.content, Envelope)


def test_no_url_can_say_it_and_what_is_no_function_is_refused() -> None:
    with pytest.raises(OptionError, match=r"in code only: KafkaTransport\(url, decoder=…\)"):
        KafkaTransport("kafka://localhost?decoder=json")
    with pytest.raises(OptionError, match="takes a function"):
        KafkaTransport("kafka://localhost", decoder=5)
