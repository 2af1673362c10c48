"""Records without a broker."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from busway.transport import Address
from busway_kafka._notes import Note
from busway_kafka._tenure import Tenure

__all__ = ["Fetched", "batch", "owner"]


class Fetched(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes | None], ...] = ()


def owner(position: int = 0, note: str | None = None, *offsets: int) -> Tenure:
    """A tenure that begins at an offset, with what stood beside it, and has fetched some."""
    tenure = Tenure("flights", 0, Address("flights"), 1, position, Note.of(note))
    if offsets:
        tenure.add([Fetched(each) for each in offsets], offsets[-1] + 1)
    return tenure


def batch(
    base: int,
    values: list[bytes],
    producer: int = -1,
    *,
    attributes: int = 0,
    key: bytes | None = None,
) -> bytes:
    """As a broker answers with it: at an offset, and of a kind the builder does not make."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, 0, producer, 0, 0, 1_000_000)
    for place, value in enumerate(values):
        builder.append(place, 1, key, value, [])
    made = bytearray(builder.build())
    made[:8] = base.to_bytes(8, "big")
    made[22] |= attributes
    made[17:21] = calc_crc32c(bytes(made[21:])).to_bytes(4, "big")
    return bytes(made)
