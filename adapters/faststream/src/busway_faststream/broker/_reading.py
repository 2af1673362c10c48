"""Which event a handler of FastStream's takes, found out once, and how it is read."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ForwardRef, get_args

from faststream import StreamMessage
from faststream.message import decode_message

from busway import Bus, Envelope, HandlerError, Message

from ._compat import HandlerItem
from ._data import Reader, plain, reader_of
from ._kinds import is_chosen_by_topic, is_read_by_the_bus, is_strict, is_typed, members_of
from ._message import BusBatchMessage, BusMessage

__all__ = ["batch_item", "check_parameters", "check_that_it_runs", "decoder_of", "wanted_by"]

Decoder = Callable[[Any], Awaitable[Any]]

_OURS = (StreamMessage, Message, Envelope, Bus)


def wanted_by(call: HandlerItem[Any]) -> Any:
    """The annotation of the one parameter that takes the event, ``Any`` where there is none or the
    event is spread over several."""
    assert call.dependant is not None
    parameters = call.dependant.flat_params
    return parameters[0].field_type if len(parameters) == 1 else Any


def batch_item(call: HandlerItem[Any]) -> Any:
    """What the items of a batch are, for the bus to convert; ``Envelope`` where FastStream does.

    Raises HandlerError when the handler takes no list.
    """
    wanted = wanted_by(call)
    if wanted is Any or wanted is list:
        return Envelope
    arguments = get_args(wanted)
    if not arguments:
        raise HandlerError(
            f"{call.name} is given batch=: its parameter must be a list of events, "
            f"and it is {wanted!r}"
        )
    return arguments[0] if is_read_by_the_bus(arguments[0]) else Envelope


def check_that_it_runs(call: HandlerItem[Any]) -> None:
    """Raises HandlerError for a generator: every event would be acknowledged, and none handled."""
    target: Any = call.handler._declared_call  # pyright: ignore[reportPrivateUsage]
    while isinstance(target, partial):
        target = target.func
    target = target if inspect.isroutine(target) else type(target).__call__
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise HandlerError(
            f"{call.name} is a generator: calling it runs nothing of it. Use no `yield` in a "
            "handler; what it depends on may have one"
        )


def check_parameters(call: HandlerItem[Any]) -> None:
    """Raises HandlerError for a parameter that is no part of an event and would be taken for
    one."""
    assert call.dependant is not None
    for each in call.dependant.flat_params:
        kind = each.field_type
        if isinstance(kind, str | ForwardRef):
            raise HandlerError(
                f"{call.name}: {kind!r}, the annotation of {each.field_name}, names nothing in its "
                "module. Import it there, or move the class out of the function it stands in"
            )
        for part in members_of(kind) or (kind,):
            _check_that_it_is_not_ours(call.name, each.field_name, part)


def _check_that_it_is_not_ours(handler: str, name: str, kind: Any) -> None:
    if isinstance(kind, type) and issubclass(kind, _OURS):
        kind_name = kind.__name__
        context = "bus" if issubclass(kind, Bus) else "message"
        raise HandlerError(
            f"{handler}({name}: {kind_name}): FastStream would look for {name} in the event. "
            f'Write {name}: Annotated[{kind_name}, Context("{context}")]'
            + (", whose .raw_message is the bus's own" if kind in (Message, Envelope) else "")
        )


def decoder_of(call: HandlerItem[Any], *, batch: bool) -> Decoder:
    """What gives this handler its event. Raises HandlerError when no event can be read into what it
    takes."""
    if batch:
        return _batch_decoder(call)
    wanted = wanted_by(call)
    read = _reader_for(call, wanted)
    as_it_is = is_typed(wanted) or is_chosen_by_topic(wanted) or is_strict(wanted)
    in_tests = read if as_it_is else plain
    reads_bodies = is_read_by_the_bus(wanted)

    async def decode(message: BusMessage) -> Any:
        # A mock that stands for the handler is asked about builtins, as with any of its brokers.
        reader = in_tests if call.handler.is_test else read
        if not message.has_own_body:
            return reader(message.raw_message.envelope)
        # Somebody has put a body of bytes there.
        data = decode_message(message)
        if not reads_bodies or reader is plain:
            return data
        return reader(Envelope(message.raw_message.topic, data))

    return decode


def _reader_for(call: HandlerItem[Any], wanted: Any) -> Reader:
    try:
        return reader_of(wanted)
    except HandlerError as error:
        raise HandlerError(f"{call.name}: {error}") from error


def _batch_decoder(call: HandlerItem[Any]) -> Decoder:
    item = batch_item(call)
    if item is Envelope:
        arguments = get_args(wanted_by(call))
        read = reader_of(arguments[0]) if arguments else plain
        as_it_is = False
    else:
        read, as_it_is = _reader_for(call, item), is_typed(item) or is_strict(item)

    async def decode_batch(message: BusBatchMessage) -> Any:
        if item is Envelope:
            return [read(each.envelope) for each in message.raw_message]
        if call.handler.is_test and not as_it_is:
            return [plain(each.envelope) for each in message.raw_message]
        return [each.data for each in message.raw_message]

    return decode_batch
