"""What an application can ask for that cannot work: each is refused, and told what to do instead.

URLs are in ``test_open``, topics in ``test_publish``, declarations in ``test_event``, options of
publish in ``test_envelope``, handlers in ``test_handlers``, patterns in ``test_patterns``, bytes
off a wire in ``test_codec`` and ``fuzz``.
"""

from __future__ import annotations

from typing import Any

import pytest

from busway import (
    Actor,
    Batch,
    Bus,
    EventError,
    GroupError,
    HandlerError,
    OptionError,
    PatternError,
    Retry,
    on,
)
from busway.middleware import Hooks, log, publishing, timeout, trace

__all__: list[str] = []


async def handle(data: object) -> None: ...


async def other(data: object) -> None: ...


def refused(error: type[Exception], says: str, *patterns: Any, **options: Any) -> None:
    with pytest.raises(error, match=says):
        Bus().add(handle, *patterns, **options)


@pytest.mark.parametrize("pattern", ["", "order..x", "order.[a", "order.{a", ".order", "a b"])
def test_a_malformed_pattern(pattern: str) -> None:
    refused(PatternError, "pattern", pattern)


@pytest.mark.parametrize("pattern", [int, 7, None])
def test_a_pattern_that_is_none(pattern: Any) -> None:
    refused(EventError, "neither a pattern nor a declared event class: put @event", pattern)


def test_a_subscription_to_nothing() -> None:
    refused(OptionError, "handle is subscribed to nothing: give it a pattern or an event class")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurrency": 0}, "concurrency=0: it takes a whole number of 1 or more"),
        ({"concurrency": "8"}, "concurrency='8': it takes a whole number"),
        ({"concurrency": True}, "concurrency=True"),
        ({"timeout": 0}, "timeout=0: it takes more than 0 seconds"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"order": "total"}, "order='total': it takes \"key\" or nothing"),
        ({"batch": 100}, r"batch=100: it takes Batch\(size, within=seconds\)"),
        ({"retry": 3}, r"retry=3: it takes a Retry"),
        ({"group": ""}, "group='': it takes a name"),
        ({"group": 7}, "group=7: it takes a name"),
        ({"start": "soon"}, 'start=\'soon\': it takes "earliest", "latest" or a datetime'),
        ({"broadcast": True, "start": "earliest"}, "broadcast=True begins now"),
        ({"middleware": timeout(5)}, r"it takes a tuple: \(one,\)"),
        ({"middleware": (5,)}, "5 is no middleware: it takes functions of a handler"),
        ({"middleware": (trace(Hooks()),)}, r"about the whole bus: give it to Bus\(middleware="),
        ({"middleware": (log(),)}, r"about the whole bus: give it to Bus\(middleware="),
        ({"middleware": (publishing(lambda s: s),)}, r"publishing\(.* give it to Bus\(middleware="),
        ({"middleware": log()}, "it takes a tuple"),
        ({"supervise": object()}, "supervise= goes with an Actor"),
    ],
)
def test_an_option_of_a_subscription_out_of_its_range(options: Any, says: str) -> None:
    refused(OptionError, says, "order.*", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"service": "my shop"}, "service='my shop': it takes a name without spaces"),
        ({"service": ""}, "service=''"),
        ({"service": 7}, "service=7"),
        ({"validate": "maybe"}, 'validate=\'maybe\': it takes "reject", "warn" or "off"'),
        ({"codec": "xml"}, 'codec=\'xml\': it takes "json", "msgpack" or a Codec'),
        ({"codec": None}, "codec=None"),
        ({"codec": "pydantic"}, "need no codec .*pip install 'busway\\[pydantic\\]'"),
        ({"max_size": 0}, "max_size=0: it takes a number of more than 0"),
        ({"max_size": "1M"}, "max_size='1M'"),
        ({"publish_timeout": -1}, "publish_timeout=-1"),
        ({"max_in_flight": 0}, "max_in_flight=0"),
        ({"emit_buffer": 0}, "emit_buffer=0"),
        ({"retry": 5}, r"retry=5: it takes a Retry"),
        ({"middleware": timeout(5)}, r"Bus\(middleware=\) .*it takes a tuple"),
        ({"middleware": (None,)}, "None is no middleware"),
        ({"channels": {"order.*": "a b"}}, "the name of a channel follows a topic's rules"),
    ],
)
def test_an_option_of_the_bus_out_of_its_range(options: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Bus(**options)


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        (
            {"concurrency": 2},
            {"concurrency": 3},
            "other says concurrency=3 and .*handle says concurrency=2",
        ),
        ({"broadcast": True}, {}, "other says broadcast=False and .*handle says broadcast=True"),
        ({"order": "key", "start": "latest"}, {"start": "earliest"}, "start='earliest'"),
        ({"batch": Batch(2)}, {"batch": Batch(2)}, "a group that takes batches has one handler"),
    ],
)
def test_a_group_with_contradictory_settings(one: Any, two: Any, says: str) -> None:
    bus = Bus()

    async def handle(data: list[Any]) -> None: ...
    async def other(data: list[Any]) -> None: ...

    if "batch" not in one:
        handle.__annotations__ = other.__annotations__ = {}
    bus.add(handle, "order.*", group="both", **one)
    with pytest.raises(
        GroupError, match=rf"group 'both'.*(?:{says}).*(?:group of its own)"
    ) as caught:
        bus.add(other, "order.*", group="both", **two)
    assert "handle" in str(caught.value)
    assert "other" in str(caught.value)


def test_two_handlers_whose_default_groups_collide() -> None:
    def made() -> Any:
        async def charge(data: object) -> None: ...

        charge.__qualname__ = "charge"
        return charge

    bus = Bus(service="shop")
    bus.add(made(), "order.*")
    with pytest.raises(GroupError, match=r"'shop.charge'.*Rename one, or give each a group="):
        bus.add(made(), "order.*")


def test_a_tie_between_two_methods_of_an_actor() -> None:
    class Billing(Actor):
        @on("order.*")
        async def one(self, data: object) -> None: ...

        @on("order.*")
        async def two(self, data: object) -> None: ...

    with pytest.raises(
        HandlerError, match=r"actor Billing: one and two both handle 'order\.\*'.*more specific"
    ):
        Bus().add(Billing())


def test_an_actor_that_handles_nothing_and_one_given_patterns() -> None:
    class Idle(Actor):
        pass

    class Busy(Actor):
        @on("order.*")
        async def one(self, data: object) -> None: ...

    with pytest.raises(HandlerError, match=r"handles nothing: mark a method with @on"):
        Bus().add(Idle())
    with pytest.raises(OptionError, match=r"an actor's patterns stand at its methods"):
        Bus().add(Busy(), "order.*")


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"within": -1}, {"in_place": -1}, {"on": (int,)}, {"give_up_on": KeyError}],
)
def test_a_retry_that_cannot_be(options: Any) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Retry(**options)


def test_a_batch_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="it takes a size of 1 or more and more than 0 seconds"):
        Batch(0)
    with pytest.raises(OptionError, match="more than 0 seconds"):
        Batch(1, within=0)
