"""What becomes of what is written, whatever a broker says, and when it says nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.memory_records import MemoryRecords

from busway.transport import WRITTEN, NotWritten, Unknown
from busway_kafka._batch import Batch, Entry
from busway_kafka._errors import NotSent, Unanswered
from busway_kafka._producing import Producer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

OK, NOT_LEADER, TIMED_OUT, TOO_LARGE, DENIED, OUT_OF_ORDER, DUPLICATE = 0, 6, 7, 10, 29, 45, 46


class Broker:
    """Answers with what a test has told it to, in turn, and with 0 after that."""

    timeout = 1.0

    def __init__(self) -> None:
        self.script: list[int | Exception] = []
        self.seen: list[tuple[int, int, list[bytes]]] = []
        """Producer, first sequence and values of each batch."""
        self.producers = 0
        self.lead: int | None = 1
        self.gate: anyio.Event | None = None
        self.names: anyio.Event | None = None
        """When it is set, whoever asks for a producer's id is given one."""

    def leader(self, topic: str, number: int) -> int | None:
        return self.lead

    async def refresh(self) -> None:
        pass

    async def ask(self, node: int | None, request: Any, **_: Any) -> Any:
        if not isinstance(request, ProduceRequest):
            if self.names is not None:
                await self.names.wait()
            self.producers += 1
            return SimpleNamespace(error_code=0, producer_id=self.producers, producer_epoch=0)
        [(topic, parts)] = request._topics
        for _, data in parts:
            batch: Any = MemoryRecords(data).next_batch()
            values = [each.value for each in batch]
            self.seen.append((batch.producer_id, batch.base_sequence, values))
        if self.gate is not None:
            await self.gate.wait()
        said = self.script.pop(0) if self.script else OK
        if isinstance(said, Exception):
            raise said
        written = [(topic, [(number, said, 0) for number, _ in parts])]
        return SimpleNamespace(topics=written, throttle_time_ms=0)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def producer(broker: Broker) -> AsyncIterator[Producer]:
    client: Any = broker
    producer = Producer(client)
    yield producer
    await producer.close()


def entries(*values: bytes) -> list[Entry]:
    return [Entry("flights", 0, None, value, []) for value in values]


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not fact():
            await anyio.lowlevel.checkpoint()


async def write(producer: Producer, *values: bytes, within: float = 2.0) -> list[object]:
    return list(await producer.write(entries(*values), time.monotonic() + within))


async def test_what_is_published_together_goes_together(broker: Broker, producer: Producer) -> None:
    assert await write(producer, b"a", b"b") == [WRITTEN, WRITTEN]
    assert await write(producer, b"c") == [WRITTEN]
    assert broker.seen == [(1, 0, [b"a", b"b"]), (1, 2, [b"c"])]


async def test_what_no_broker_saw_is_not_written(broker: Broker, producer: Producer) -> None:
    broker.script = [NotSent("nobody is there")] * 1000
    [outcome] = await write(producer, b"a", within=0.2)
    assert isinstance(outcome, NotWritten)
    assert "nobody is there" in str(outcome.error)


async def test_where_nobody_leads_nothing_is_written(broker: Broker, producer: Producer) -> None:
    broker.lead = None
    [outcome] = await write(producer, b"a", within=0.2)
    assert isinstance(outcome, NotWritten)
    assert broker.seen == []


async def test_what_nobody_answered_is_unknown_at_the_deadline(
    broker: Broker, producer: Producer
) -> None:
    broker.gate = anyio.Event()
    began = time.monotonic()
    [outcome] = await write(producer, b"a", within=0.2)
    assert isinstance(outcome, Unknown)
    assert 0.15 < time.monotonic() - began < 1.0


@pytest.mark.parametrize("said", [Unanswered("?"), TIMED_OUT, NOT_LEADER])
async def test_what_is_tried_again_keeps_its_number(
    broker: Broker, producer: Producer, said: int | Exception
) -> None:
    broker.script = [said]
    assert await write(producer, b"a") == [WRITTEN]
    assert await write(producer, b"b") == [WRITTEN]
    assert broker.seen == [(1, 0, [b"a"]), (1, 0, [b"a"]), (1, 1, [b"b"])]


async def test_what_is_there_already_was_written(broker: Broker, producer: Producer) -> None:
    broker.script = [Unanswered("?"), DUPLICATE]
    assert await write(producer, b"a") == [WRITTEN]
    assert await write(producer, b"b") == [WRITTEN]
    assert broker.seen[-1] == (1, 1, [b"b"])


async def test_a_producer_that_is_not_known_begins_as_another(
    broker: Broker, producer: Producer
) -> None:
    await write(producer, b"a")
    broker.script = [OUT_OF_ORDER]
    assert await write(producer, b"b") == [WRITTEN]
    assert broker.seen == [(1, 0, [b"a"]), (1, 1, [b"b"]), (2, 0, [b"b"])]


@pytest.mark.parametrize("said", [Unanswered("?"), TIMED_OUT, NOT_LEADER])
async def test_what_may_have_been_written_is_not_written_again_as_another(
    broker: Broker, producer: Producer, said: int | Exception
) -> None:
    """A broker that leads no more may have appended it while it did."""
    broker.script = [said, OUT_OF_ORDER]
    [outcome] = await write(producer, b"a")
    assert isinstance(outcome, Unknown)
    assert await write(producer, b"b") == [WRITTEN]
    assert [values for _, _, values in broker.seen] == [[b"a"], [b"a"], [b"b"]]
    assert broker.seen[-1][:2] == (2, 0)


async def test_what_is_too_large_together_goes_one_by_one(
    broker: Broker, producer: Producer
) -> None:
    broker.script = [TOO_LARGE]
    assert await write(producer, b"a", b"b", b"c") == [WRITTEN] * 3
    assert broker.seen[1:] == [(1, 0, [b"a"]), (1, 1, [b"b"]), (1, 2, [b"c"])]


async def test_what_is_too_large_alone_is_not_written(broker: Broker, producer: Producer) -> None:
    broker.script = [TOO_LARGE]
    [outcome] = await write(producer, b"a")
    assert isinstance(outcome, NotWritten)
    assert await write(producer, b"b") == [WRITTEN]


async def test_a_refusal_says_nothing_of_an_earlier_try(broker: Broker, producer: Producer) -> None:
    broker.script = [Unanswered("?"), DENIED]
    [outcome] = await write(producer, b"a")
    assert isinstance(outcome, Unknown)


async def test_what_was_given_up_before_it_was_sent_is_never_written(
    broker: Broker, producer: Producer
) -> None:
    broker.lead = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, producer, b"patient")
        await anyio.lowlevel.checkpoint()
        [outcome] = await write(producer, b"given up", within=0.1)
        assert isinstance(outcome, NotWritten)
        broker.lead = 1
    assert await write(producer, b"later") == [WRITTEN]
    assert [values for _, _, values in broker.seen] == [[b"patient"], [b"later"]]


async def test_what_was_given_up_while_another_partition_had_no_name_yet_is_never_written(
    broker: Broker, producer: Producer
) -> None:
    async def written(value: bytes, partition: int, within: float) -> object:
        made = [Entry("flights", partition, None, value, [])]
        return (await producer.write(made, time.monotonic() + within))[0]

    late: list[object] = []

    async def gives_up() -> None:
        late.append(await written(b"late", 0, 0.2))

    assert await written(b"a", 0, 2.0) == WRITTEN
    broker.gate, broker.names, broker.script = anyio.Event(), anyio.Event(), [OUT_OF_ORDER]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(written, b"b", 1, 5.0)
        await until(lambda: len(broker.seen) == 2)
        tasks.start_soon(gives_up)
        await until(lambda: bool(producer._partitions.ready))
        # It is first in line now; the other one has to be written again, under another name.
        broker.gate.set()
        await until(lambda: bool(late))
        broker.names.set()
    assert isinstance(late[0], NotWritten)
    assert [values for *_, values in broker.seen] == [[b"a"], [b"b"], [b"b"]]


async def test_a_number_that_was_given_up_is_not_used_for_something_else(
    broker: Broker, producer: Producer
) -> None:
    """A broker would take the new for the old, and the new would be nowhere."""
    await write(producer, b"a")
    broker.script = [Unanswered("?")] * 1000
    [outcome] = await write(producer, b"b", within=0.2)
    assert isinstance(outcome, Unknown)
    broker.script = []
    assert await write(producer, b"c") == [WRITTEN]
    used: dict[tuple[int, int], set[bytes]] = {}
    for identity, sequence, [value] in broker.seen:
        used.setdefault((identity, sequence), set()).add(value)
    assert all(len(values) == 1 for values in used.values())


async def test_what_a_codec_cannot_write_is_told_and_holds_up_nothing_behind_it(
    broker: Broker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(batch: Batch) -> bytes:
        raise RuntimeError("no codec")

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "data", missing)
        entry = Entry("order", 0, b"k", b"lost", [])
        began = time.monotonic()
        [outcome] = await producer.write([entry], began + 30)
    assert isinstance(outcome, NotWritten)
    assert time.monotonic() - began < 10
    entry = Entry("order", 0, b"k", b"next", [])
    assert await producer.write([entry], time.monotonic() + 5) == [WRITTEN]
    assert [values for _, _, values in broker.seen] == [[b"next"]]


@pytest.mark.parametrize(("said", "another"), [(2, True), (87, True), (29, False)])
async def test_whose_name_may_be_what_is_refused_goes_on_under_another(
    broker: Broker, producer: Producer, said: int, another: bool
) -> None:
    """An answer that was damaged may have given it."""
    assert await write(producer, b"a") == [WRITTEN]
    broker.script = [said]
    [outcome] = await write(producer, b"b")
    assert isinstance(outcome, NotWritten)
    assert await write(producer, b"c") == [WRITTEN]
    (first, *_), (last, *_) = broker.seen[0], broker.seen[-1]
    assert (last != first) is another


def test_a_deadline_counts_on_a_second_event_loop(broker: Broker) -> None:
    """A transport may be entered again, on the loop of another ``asyncio.run``."""
    client: Any = broker
    producer = Producer(client)

    async def say_goodbye() -> list[object]:
        outcomes = await write(producer, b"a", within=1.0)
        await producer.close()
        return outcomes

    async def wait() -> list[object]:
        with anyio.fail_after(10):
            outcomes = await write(producer, b"b", within=1.0)
        await producer.close()
        return outcomes

    assert asyncio.run(say_goodbye()) == [WRITTEN]
    broker.lead = None
    [outcome] = asyncio.run(wait())
    assert isinstance(outcome, NotWritten)
