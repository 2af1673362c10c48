"""What calls a handler: made once, when it is subscribed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._handling import Handling, PartlyFailed
from ._invoke import (
    Call,
    batch_invoke,
    exact_class,
    plain_invoke,
    single_invoke,
    tell_handled,
)
from ._runtime import Runtime
from ._spec import Options, Spec
from ._subscription import Subscription
from .message import BusPart, Envelope
from .middleware import Mark, Middleware, dedupe
from .transport import Delivery

__all__ = ["Composer"]

Chain = list[Middleware | Mark]


class Composer:
    """The handlers of one bus with their middleware, and whom hooks are told of."""

    def __init__(self, runtime: Runtime, middleware: Sequence[Middleware | Mark]) -> None:
        self._runtime = runtime
        self._middleware = middleware
        self._calls: dict[Handling, Call] = {}
        self._untell: dict[Handling, Callable[[], None]] = {}
        """The handlers whose successes hooks are told of, with what ends it."""

    def compose(self, subscription: Subscription, spec: Spec, bus: BusPart) -> Handling:
        """Raises HandlerError for a handler that cannot take what it would get."""
        options = spec.options
        handling = Handling(spec.name, spec.patterns, _never, options.retry)
        handling.returns = spec.signature.returns
        call = Call(
            spec.function,
            spec.signature,
            subscription.group,
            bus,
            self._runtime,
            self._around(options),
            options.timeout,
            subscription,
        )
        if options.batch is not None:
            _take_batches(handling, call)
        else:
            handling.invoke = single_invoke(call)
            handling.exact = exact_class(call)
            handling.plain = plain_invoke(call)
            handling.direct = spec.function
        self._calls[handling] = call
        if self._runtime.watchers.handled:
            self._untell[handling] = tell_handled(call, handling)
        return handling

    def _around(self, options: Options) -> Chain:
        # That of the bus is about one event at a time.
        inherited = () if options.batch is not None else self._middleware
        # Outermost: an event is marked as handled only when all around its handler succeeded.
        # Inside of a middleware that then fails (a commit), its retry would be taken for a
        # duplicate, and the event be lost.
        first = () if options.dedupe is None else (dedupe(options.dedupe),)
        return [*first, *inherited, *options.middleware]

    @property
    def handlings(self) -> list[tuple[str, Handling]]:
        """Every handler with its group, in the order of subscribing."""
        return [(call.group, handling) for handling, call in self._calls.items()]

    def annotation(self, handling: Handling) -> Any:
        """What a handler says it takes."""
        return self._calls[handling].signature.annotation

    def forget(self, handling: Handling) -> None:
        """It was taken back."""
        self._calls.pop(handling)
        self._untell.pop(handling, None)

    def watch(self) -> None:
        """Hooks came or went: let the handlers tell of their successes if anybody listens."""
        if not self._runtime.watchers.handled:
            for untell in self._untell.values():
                untell()
            self._untell.clear()
            return
        for handling, call in self._calls.items():
            if handling not in self._untell:
                self._untell[handling] = tell_handled(call, handling)


def _take_batches(handling: Handling, call: Call) -> None:
    convert, invoke = batch_invoke(call)
    handling.convert, handling.invoke_batch = convert, invoke

    async def alone(envelope: Envelope, delivery: Delivery) -> Any:
        try:
            return await invoke([delivery], [convert(envelope)])
        except PartlyFailed as partly:
            raise partly.errors[0] from None

    handling.invoke = alone


def _never(envelope: Envelope, delivery: Delivery) -> Any:
    raise AssertionError("composed before it is called")
