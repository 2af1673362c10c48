"""What a broker's pipeline costs around a handler: no network, no acknowledgement, no log.

Each is given what its client hands over, again and again: FastStream's brokers a stream's entry or
a record, BusBroker an envelope as it comes off a wire. The handlers are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Annotated, Any

import msgspec
from aiokafka.structs import ConsumerRecord
from fast_depends.msgspec import MsgSpecSerializer
from faststream import AckPolicy, BaseMiddleware, Context, Depends, Header
from faststream.kafka import KafkaBroker
from faststream.redis import BinaryMessageFormatV1, RedisBroker, StreamSub
from pydantic import BaseModel

from busway import Envelope, Message
from busway_faststream.broker import BusBroker
from tests.bench.brokers.events import noted
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, quiet_heap, run_on

__all__ = ["measure", "table"]

COUNT = 2_000
GOAL = Goal(0.6)
BODY = msgspec.json.encode(noted(1)[0])

Once = Callable[[], Awaitable[Any]]


class Struct(msgspec.Struct):
    number: int
    at: float
    text: str


class Model(BaseModel):
    number: int
    at: float
    text: str


async def takes_dict(event: dict[str, Any]) -> None:
    pass


async def takes_model(event: Model) -> None:
    pass


async def takes_struct(event: Struct) -> None:
    pass


async def user() -> str:
    return "ann"


async def takes_more(
    event: dict[str, Any],
    who: Annotated[str, Depends(user)],
    kind: Annotated[str, Header("content-type", default="")],
    message: Annotated[Any, Context("message")],
) -> None:
    pass


class Around(BaseMiddleware[Any, Any]):
    """Does nothing."""


HANDLERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a dict": (takes_dict, {}),
    "a pydantic model": (takes_model, {}),
    "a msgspec Struct": (takes_struct, {}),
    "a dict, Depends, Header, Context": (takes_more, {}),
    "a dict, in a middleware": (takes_dict, {"middlewares": [Around]}),
}


def serializer(handler: Any) -> dict[str, Any]:
    """FastStream's brokers take Structs with a serializer of their own."""
    if handler is not takes_struct:
        return {}
    return {"serializer": MsgSpecSerializer(use_fastdepends_errors=False)}


def ready(broker: Any, subscriber: Any) -> Any:
    """As if it were started, without what it would start."""
    broker._setup_logger()
    subscriber._build_fastdepends_model()
    subscriber._post_start()
    return subscriber


async def on_redis(handler: Any, **options: Any) -> Once:
    broker = RedisBroker(logger=None, **serializer(handler), **options)
    stream = StreamSub("bench", group="bench", consumer="one")
    subscriber = broker.subscriber(stream=stream, ack_policy=AckPolicy.MANUAL)
    subscriber(handler)
    consume = ready(broker, subscriber).consume
    packed = await BinaryMessageFormatV1.encode(
        message=msgspec.json.decode(BODY), reply_to=None, headers=None, correlation_id="c-1"
    )
    entry = {
        "type": "stream",
        "channel": "bench",
        "message_ids": [b"1-0"],
        "data": {b"__data__": packed},
    }
    return lambda: consume(entry)


async def on_kafka(handler: Any, **options: Any) -> Once:
    broker = KafkaBroker(logger=None, **serializer(handler), **options)
    subscriber = broker.subscriber("bench", group_id="bench", ack_policy=AckPolicy.MANUAL)
    subscriber(handler)
    consume = ready(broker, subscriber).consume
    headers = [("content-type", b"application/json"), ("correlation_id", b"c-1")]
    record = ConsumerRecord(
        topic="bench", partition=0, offset=0, timestamp=0, timestamp_type=0, key=None, value=BODY,
        checksum=None, serialized_key_size=0, serialized_value_size=len(BODY), headers=headers,
    )  # fmt: skip
    return lambda: consume(record)


async def on_the_bus(handler: Any, **options: Any) -> Once:
    broker = BusBroker("memory://", logger=None, **options)
    subscriber = broker.subscriber("bench.*", group="bench")
    subscriber(handler)
    ready(broker, subscriber)
    assert subscriber.delivering is not None
    deliver: Any = subscriber.delivering.handler()
    envelope = Envelope(
        "bench.noted", msgspec.Raw(BODY), "bench", 1.0, given_id="m-1",
        given_correlation_id="c-1", headers={"content-type": "application/json"},
        content_type="application/json",
    )  # fmt: skip
    lent: Any = None
    # As the bus does it for each delivery.
    return lambda: deliver(envelope, Message(envelope, envelope, "bench", lent, broker.bus))


CONTENDERS = {"RedisBroker": on_redis, "KafkaBroker": on_kafka, "BusBroker": on_the_bus}


async def timed(contender: str, handler: Any, options: dict[str, Any]) -> float:
    """Seconds per message; the quickest of ten parts."""
    once = await CONTENDERS[contender](handler, **options)
    parts: list[float] = []
    for _ in range(10):
        quiet_heap()
        started = perf_counter()
        for _ in range(COUNT // 10):
            await once()
        parts.append((perf_counter() - started) / (COUNT // 10))
    return min(parts)


def table() -> Section:
    return Section(
        "FastStream: overhead of a message",
        ("handler takes", "contender", "beside"), "x", "x", ("µs each",),
        note=(
            "x: time of the contender by that of the one it stands beside, of which less is "
            "better. One message of 256 bytes through the pipeline to a handler that does nothing, "
            "without a log and without acknowledging it. For Structs, FastStream's brokers have "
            "the serializer of msgspec."
        ),
    )  # fmt: skip


def measure(section: Section, settings: Settings) -> None:
    for what, case in HANDLERS.items():
        taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        run_on("asyncio", timed, "BusBroker", *case)
        for repeat in range(settings.repeats):
            names = list(CONTENDERS)
            for name in names if repeat % 2 == 0 else reversed(names):
                taken[name].append(run_on("asyncio", timed, name, *case))
        spreads = {name: Spread(tuple(values)) for name, values in taken.items()}
        for name, spread in spreads.items():
            if name != "BusBroker":
                section.add((what, name, ""), spread.over(spread), None, _each(spread))
        ours = spreads["BusBroker"]
        for name in ("RedisBroker", "KafkaBroker"):
            section.add((what, "BusBroker", name), ours.over(spreads[name]), GOAL, _each(ours))


def _each(spread: Spread) -> tuple[str]:
    return (f"{spread.middle * 1e6:,.1f}",)
