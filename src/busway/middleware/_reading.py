"""What a handler is given of an envelope, for frameworks that have handlers of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from busway.message import Envelope

from .._convert import converter
from .._declared import declared_for

__all__ = ["reader_of"]


def reader_of(annotation: Any, /) -> Callable[[Envelope], Any]:
    """What makes of an envelope the event that a handler of a bus is given whose first parameter is
    annotated so. Made once for a handler, it raises ``Undecodable`` when the data does not fit.

    For frameworks that have handlers of their own; ``event_of`` is for a single envelope.

    ```python
    from busway import Envelope
    from busway.middleware import reader_of

    read = reader_of(list[int])
    assert read(Envelope("sizes.measured", [1, 2])) == [1, 2]
    ```

    Raises:
        HandlerError: no data can be converted to this annotation.
    """
    return converter(annotation, declared_for)
