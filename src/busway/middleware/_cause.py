"""What is being handled here, and saying so where somebody else's framework handles it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from busway.message import Envelope

from .._context import ELSEWHERE, current, working_for

__all__ = ["cause", "caused_by"]


def cause() -> Envelope | None:
    """The envelope that is being handled here: what a publish would be a child of. None outside of
    handlers, and in handlers of batches."""
    return current.get()


@contextmanager
def caused_by(envelope: Envelope, /) -> Generator[None]:
    """What is published inside, on any bus, is a child of this envelope, as in a handler of it: it
    inherits correlation, tenant, user and trace, and has its id as the causation id.

    For frameworks that have handlers of their own. The envelope needs not have travelled:

    ```python
    from busway import Bus, Envelope
    from busway.middleware import caused_by

    request = Envelope("request", given_id="r-1", given_correlation_id="c-1")

    async with Bus() as bus:
        with caused_by(request):
            event = await bus.publish("order.placed", {"order_id": "o-1"})
        assert (event.correlation_id, event.causation_id) == ("c-1", "r-1")
    ```

    Cost: two context variables, per use.
    """
    parent = current.set(envelope)
    # Inside a handler of a bus it stays what it is: a publish there must not wait for room.
    worker = working_for.set(ELSEWHERE) if working_for.get() is None else None
    try:
        yield
    finally:
        if worker is not None:
            working_for.reset(worker)
        current.reset(parent)
