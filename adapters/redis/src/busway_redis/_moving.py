"""How an item that is sent and acknowledged in one step is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from busway.transport import Outgoing, Purpose

from ._keys import Keys
from ._link import Argument
from ._source import Source
from ._wire import fields_of

__all__ = ["delayed", "is_due", "move_arguments"]


def is_due(item: Outgoing) -> bool:
    """Whether it is to be handed out as soon as it is written."""
    return item.due is None or item.due <= time.time()


def delayed(item: Outgoing) -> tuple[int, bytes]:
    """The score and the member of a sorted set: due in milliseconds, and the fields under a name of
    their own, because equal members would be one."""
    assert item.due is not None
    # As texts, not as bytes: what unpacks them in Redis is older than MessagePack's bytes.
    fields = [uuid4().hex.encode(), *fields_of(item)]
    return round(item.due * 1000), _packed(fields)


def move_arguments(
    keys: Keys, source: Source, item: Outgoing, *, theirs: bool = False
) -> tuple[str, Sequence[Argument]]:
    """The target in the slot of the source, and what the script writes there. ``theirs``: it is to
    leave the shard, for a member that handles it."""
    shard, address = source.shard, item.address
    if theirs:
        group = address.group or ""
        if is_due(item):
            return keys.passed(address.channel, group, shard), ("stream", *fields_of(item))
        score, member = delayed(item)
        return keys.passing(address.channel, group, shard), (score, member)
    if item.address.purpose is Purpose.DEAD or is_due(item):
        return keys.of(item.address, shard), ("stream", *fields_of(item))
    score, member = delayed(item)
    return keys.of(item.address, shard, due=True), (score, member)


def _packed(fields: Sequence[bytes]) -> bytes:
    """A MessagePack array of raw strings."""
    parts = [b"\xdc" + len(fields).to_bytes(2, "big")]
    for field in fields:
        parts.append(b"\xdb" + len(field).to_bytes(4, "big"))
        parts.append(field)
    return b"".join(parts)
