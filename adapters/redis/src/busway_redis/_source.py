"""One stream as one group of this process reads it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from random import uniform

from busway import Envelope
from busway.transport import Delivery, Loan

from ._lease import Lease
from ._wire import entry, envelope

__all__ = ["BELL", "Place", "Source", "by_place"]

BELL = b"bell"
"""The field of an entry that is no event: somebody gave something back."""
_REST = (0.5, 1.0)
"""Seconds; longer than what was passed on takes until it is due and moved."""


class Source:
    """A stream of events, retries or replies."""

    __slots__ = (
        "bell",
        "channel",
        "cursor",
        "deletes",
        "gone",
        "held",
        "high",
        "key",
        "lease",
        "loan",
        "owed",
        "rests_until",
        "shard",
        "told",
    )

    def __init__(
        self, key: str, channel: str, shard: int, bell: str, *, deletes: bool = False
    ) -> None:
        self.key = key
        self.channel = channel
        self.shard = shard
        self.bell = bell
        """The stream of the same slot through which members hear of what was given back."""
        self.deletes = deletes
        """Whether an entry goes when it is acknowledged: no other group reads this stream."""
        self.held: set[bytes] = set()
        """Ids that are fetched ahead or handed out, and not settled."""
        self.owed: dict[bytes, Delivery] = {}
        """Of what is held: what could not be given back. It may come again by itself."""
        self.told: set[bytes] = set()
        """Ids whose acknowledgement was sent and not answered."""
        self.cursor: str | bytes = "0-0"
        """How far taking over has come."""
        self.high: bytes = b"0-0"
        """The last id that was read as new."""
        self.lease: Lease | None = None
        """Without it nobody else reads this stream; None: members share it."""
        self.loan: Loan | None = None
        """Of what is lent from it."""
        self.gone: set[bytes] = set()
        """Ids that were held when the lease was over."""
        self.rests_until = 0.0
        """The moment (monotonic seconds) before which nothing new is read here."""

    def rest(self) -> None:
        """Let the others read. Members that wait for one stream may be woken in the same order each
        time, so that whoever is first, and has no handler, would get again what it passed on."""
        self.rests_until = time.monotonic() + uniform(*_REST)

    def holds(self, ids: Mapping[bytes, None]) -> bool:
        """Whether all of these are fetched ahead or handed out."""
        return ids.keys() <= self.held

    def under(self, lease: Lease) -> Source:
        """The same stream, in the time of one lease."""
        source = Source(self.key, self.channel, self.shard, self.bell, deletes=self.deletes)
        source.lease, source.loan = lease, lease.loan
        return source

    def __repr__(self) -> str:
        return f"<Source {self.key}>"

    def delivery(
        self, id: bytes, fields: Sequence[bytes], at: float, *, delivered: int = 1
    ) -> Delivery:
        """What stands in an entry, lent at a moment (monotonic seconds)."""
        if len(fields) == 2 and fields[0] == b"event":  # as nearly all are
            content, attempt, story = envelope(fields[1]), 1, None
        else:
            said = entry(fields)
            content, attempt, story = said.content, said.attempt, said.story
        return Delivery(
            content,
            self.channel,
            content.subject if type(content) is Envelope else None,
            attempt,
            delivered,
            None,
            story,
            self.loan,
            (self, id, at),
        )


Place = tuple[Source, bytes, float]
"""The receipt of a delivery: where it lies, its id, and since when it is surely ours (monotonic
seconds). A plain tuple: one is made for each entry."""


def by_place(delivery: Delivery) -> tuple[int, int]:
    """Sorts deliveries as they lie in their stream."""
    milliseconds, _, number = delivery.receipt[1].partition(b"-")
    return int(milliseconds), int(number)
