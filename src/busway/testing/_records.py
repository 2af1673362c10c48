"""What lies in a log: records, one after another, in partitions."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from busway.codec import decode
from busway.errors import Undecodable
from busway.message import Envelope
from busway.transport import Address, Raw, Story

__all__ = ["Log", "Place", "Record", "Shard"]


class Record(msgspec.Struct, frozen=True):
    """One entry: bytes, and beside them what a broker would keep in its headers."""

    value: bytes | Raw
    content_type: str | None
    key: str | None
    sent: float
    """Seconds since 1970 (UTC)."""
    attempt: int = 1
    due: float | None = None
    story: Story | None = None

    def content(self) -> Envelope | Raw:
        """The envelope, or the bytes with the reason why they are none."""
        if isinstance(self.value, Raw):
            return self.value
        try:
            return decode(self.value, content_type=self.content_type)
        except Undecodable as error:
            return Raw(self.value, self.content_type, reason=str(error))


Shard = tuple[str, int]
"""The channel and the number of a partition: its events, and what a group tries again of them."""


class Place(NamedTuple):
    """One partition of one log."""

    address: Address
    partition: int

    @property
    def shard(self) -> Shard:
        return self.address.channel, self.partition


Log = list[list[Record]]
"""The partitions of one address; a record's offset is its index. Nothing is ever removed."""
