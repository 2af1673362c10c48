"""The short way into mailboxes: no coroutine, no item, no outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..message import Envelope
from ..transport import Port
from ._mailbox import Mailbox

__all__ = ["Line"]


class Line:
    """The mailboxes that events of one topic go to, found again after groups came or went."""

    __slots__ = ("boxes", "channel", "only")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.boxes: Sequence[Mailbox] | None = None
        self.only: Mailbox | None = None
        """The one of ``boxes``, where there is one."""

    def forget(self) -> None:
        """A group came, went, or follows other patterns."""
        self.boxes = self.only = None

    def port(self, find: Callable[[], Sequence[Mailbox]]) -> Port:
        """What a publisher holds."""

        def post(envelope: Envelope) -> bool:
            box = self.only
            if box is None:
                return post_to_all(envelope)
            ready = box.ready
            if len(ready) >= box.capacity:
                return False
            ready.append(envelope)
            if box.readers:
                box.readers.pop().set()
            return True

        def post_to_all(envelope: Envelope) -> bool:
            boxes = self.boxes
            if boxes is None:
                boxes = self.boxes = find()
                self.only = boxes[0] if len(boxes) == 1 else None
            # All or none: what finds one mailbox full must be able to wait and then reach all.
            for box in boxes:
                if len(box.ready) >= box.capacity:
                    return False
            for box in boxes:
                box.ready.append(envelope)
                if box.readers:
                    box.readers.pop().set()
            return True

        return post
