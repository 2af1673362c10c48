"""Reading the event in an envelope, outside of a handler."""

from __future__ import annotations

from typing import Any

from ._convert import converter
from ._declared import declared_for
from .message import Envelope

__all__ = ["event_of"]

_read = converter(Any, declared_for)


def event_of(envelope: Envelope) -> Any:
    """The event that an envelope carries, as a handler without an annotation is given it: an object
    of the class declared for its topic, where there is one, else the data itself.

    For what is not in a handler: the envelope of a dead letter, of a hook, of a test. Raises
    ``Undecodable`` when the data does not fit the class.
    """
    return _read(envelope)
