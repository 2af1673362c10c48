"""Handlers: what their first parameter says, how they are called, and which can never be."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import anyio
import msgspec
import pytest

from busway import Actor, Bus, Envelope, HandlerError, Message, Retry, event
from tests.helping import URLS

if TYPE_CHECKING:
    from nowhere import OnlyForTypes  # type: ignore[import-not-found]

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@event("pet.bought", key="name")
class Bought(msgspec.Struct, frozen=True):
    name: str


@event("pet.sold")
class Sold(msgspec.Struct, frozen=True):
    name: str
    price: int


class Callers:
    """Handlers of every shape; each notes what it was called with."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def all(self) -> dict[str, tuple[Callable[..., Any], Any]]:
        got = self.got
        bought, data = Bought("rex"), {"name": "rex"}

        async def by_class(pet: Bought) -> None:
            got.append(pet)

        async def by_union(pet: Bought | Sold) -> None:
            got.append(pet)

        async def by_dict(pet: dict[str, Any]) -> None:
            got.append(pet)

        async def by_envelope(pet: Envelope) -> None:
            got.append(pet.topic)

        async def by_nothing(pet) -> None:  # type: ignore[no-untyped-def]
            got.append(pet)

        async def by_types_only(pet: OnlyForTypes) -> None:
            got.append(pet)

        async def without_parameters() -> None:
            got.append("called")

        async def with_message(pet: Bought, message: Message[Bought]) -> None:
            got.append((pet, message.data is pet, message.topic, message.attempt))

        async def with_optional_message(pet: Bought, m: Message[Bought] | None = None) -> None:
            got.append((pet, m is not None and m.key))

        async def with_default(pet: Bought, factor: int = 2) -> None:
            got.append((pet, factor))

        async def variadic(*pets: Any) -> None:
            got.append(pets)

        def plain(pet: Bought) -> None:
            got.append((pet, threading.current_thread() is not threading.main_thread()))

        async def helped(prefix: str, pet: Bought, *, suffix: str) -> None:
            got.append((prefix, pet, suffix))

        class Callable_:
            async def __call__(self, pet: Bought) -> None:
                got.append(pet)

            async def method(self, pet: Bought, message: Message[Bought]) -> None:
                got.append((pet, message.key))

        @functools.wraps(by_class)
        async def wrapped(*args: Any) -> None:
            await by_class(*args)

        def returns_awaitable(pet: Bought) -> Any:
            return by_class(pet)

        mock = AsyncMock(side_effect=lambda pet: got.append(pet))
        return {
            "class": (by_class, bought),
            "union": (by_union, bought),
            "dict": (by_dict, data),
            "envelope": (by_envelope, "pet.bought"),
            "nothing": (by_nothing, bought),
            "a name for type checkers only": (by_types_only, bought),
            "no parameters": (without_parameters, "called"),
            "message": (with_message, (bought, True, "pet.bought", 1)),
            "optional message": (with_optional_message, (bought, "rex")),
            "default": (with_default, (bought, 2)),
            "variadic": (variadic, (bought,)),
            "plain": (plain, (bought, True)),
            "partial": (
                functools.partial(helped, "pre", suffix="post"),
                ("pre", bought, "post"),
            ),
            "callable": (Callable_(), bought),
            "method": (Callable_().method, (bought, "rex")),
            "wrapped": (wrapped, bought),
            "returns awaitable": (returns_awaitable, bought),
            "mock": (mock, bought),
        }


@pytest.mark.parametrize("shape", Callers().all())
@pytest.mark.parametrize("url", URLS)
async def test_a_handler_is_called_with_what_it_asks_for(shape: str, url: str) -> None:
    callers = Callers()
    handler, expected = callers.all()[shape]
    bus = Bus(url, retry=Retry(attempts=1))
    bus.add(handler, "pet.bought", group="pets")
    async with bus:
        await bus.publish(Bought("rex"))
        await bus.publish("pet.bought", {"name": "rex"})
        await bus.drain(timeout=5)
        assert [letter.reason for letter in await bus.dead_letters("pets").list()] == []
    assert len(callers.got) == 2
    assert msgspec.to_builtins(callers.got[0]) == msgspec.to_builtins(expected)
    if shape != "dict":
        assert callers.got == [expected, expected]


@pytest.mark.parametrize("url", URLS)
async def test_a_local_class_is_found_where_its_handler_is_subscribed(url: str) -> None:
    class Local(msgspec.Struct, frozen=True):
        name: str

    got: list[Local] = []
    bus = Bus(url)

    @bus.subscribe("pet.bought")
    async def by_local(pet: Local) -> None:
        got.append(pet)

    async with bus:
        await bus.publish(Bought("rex"))
        await bus.drain(timeout=5)
    assert got == [Local("rex")]


async def test_subscribing_by_class_is_subscribing_by_its_topic() -> None:
    bus = Bus()
    got: list[Any] = []

    @bus.subscribe(Bought, Sold)
    async def see(pet: Bought | Sold) -> None:
        got.append(pet)

    async with bus:
        await bus.publish(Bought("rex"))
        await bus.publish(Sold("rex", 3))
        await bus.drain(timeout=5)
    assert got == [Bought("rex"), Sold("rex", 3)]


async def test_without_a_pattern_the_annotation_says_what_is_subscribed_to() -> None:
    async def see(pet: Bought | Sold) -> None: ...

    assert Bus().add(see).patterns == ("pet.bought", "pet.sold")


async def test_a_decorated_function_is_returned_unchanged() -> None:
    async def see(pet: Bought) -> None: ...

    assert Bus().subscribe("pet.*")(see) is see


async def test_after_a_time_out_the_lane_of_a_thread_stays_closed_until_it_ends() -> None:
    bus = Bus(retry=Retry(attempts=1))
    started, go = anyio.Event(), threading.Event()
    running: list[str] = []
    overlapping: list[str] = []
    stopped = anyio.Event()

    @bus.subscribe("pet.*", group="pets", timeout=0.01, concurrency=4)
    def slow(pet: Bought) -> None:
        overlapping.extend(name for name in running if name == pet.name)
        running.append(pet.name)
        bus.from_thread.publish("seen.start", pet.name)
        if pet.name == "rex":
            go.wait(10)
        running.remove(pet.name)

    names: list[str] = []

    @bus.subscribe("seen.start", group="watch")
    async def watch(name: str) -> None:
        names.append(name)
        (started if name == "rex" else stopped).set()

    async with bus:
        with anyio.fail_after(10):
            await bus.publish(Bought("rex"))
            await started.wait()
            await bus.publish(Bought("rex"))
            await bus.publish(Bought("kim"))
            await stopped.wait()  # another key's lane is open
            with anyio.move_on_after(0.05):  # five times the time-out: the lane is still closed
                await anyio.sleep_forever()
            assert names.count("rex") == 1
            go.set()
            await bus.drain()
    assert names.count("rex") == 2
    assert overlapping == []


def _takes_three(a: int, b: int, c: int) -> None: ...
def _takes_keyword(a: int, *, b: int) -> None: ...
def _generates(a: int) -> Any:
    yield a


async def _generates_async(a: int) -> Any:
    yield a


def _message_first(message: Message[Any]) -> None: ...


class _Shop(Actor):
    pass


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (None, "None is no handler: it takes a function of the event"),
        ("print", "'print' is no handler"),
        (_takes_three, r"_takes_three\(a.*a handler takes the event and.*give every further"),
        (_takes_keyword, "give every further parameter a default"),
        (_generates, "_generates is a generator: .* Use no `yield`"),
        (_generates_async, "_generates_async is a generator"),
        (functools.partial(_generates), "is a generator"),
        (_message_first, r"the Message is a handler's second parameter\. Write _message_first\(ev"),
        (_Shop, "_Shop is a class, .* give an object of it"),
        (Bought, "Bought is a class"),
    ],
)
async def test_what_can_never_be_called_is_refused_at_registration(handler: Any, says: str) -> None:
    with pytest.raises(HandlerError, match=says):
        Bus().add(handler, "pet.*")


async def test_an_annotation_that_can_never_match_its_patterns_is_refused() -> None:
    async def see(pet: Bought) -> None: ...
    async def both(pet: Bought | Sold) -> None: ...
    async def many(pets: list[Bought]) -> None: ...

    for handler in (see, both):
        with pytest.raises(
            HandlerError, match=r"none of its patterns \(order\.\*\) can ever match.*change the"
        ):
            Bus().add(handler, "order.*")
    Bus().add(both, "*.sold")
    Bus().add(see, "order.*", "pet.?ought")
    with pytest.raises(HandlerError, match=r"takes a list: that needs batch="):
        Bus().add(many, "pet.*")


async def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    async def see(pet: msgspec.NoSuchName) -> None: ...  # type: ignore[name-defined]

    with pytest.raises(HandlerError, match=r"see: its annotations cannot be read: .*NoSuchName"):
        Bus().add(see, "pet.*")
