"""Which partition a key lies in: as the Java client has it, so that whoever writes the same key in
another language writes it to the same partition."""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from
from typing import Final

__all__ = ["murmur2", "partition_of"]

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2 of 32 bits, as an unsigned number."""
    length = len(data)
    value = _SEED ^ length
    words = length >> 2
    for word in unpack_from(f"<{words}I", data):
        mixed = (word * _M) & _WORD
        mixed ^= mixed >> 24
        value = ((value * _M) ^ (mixed * _M)) & _WORD
    if length & 3:
        # The last one to three bytes, least significant first, as if they were a word.
        value = ((value ^ int.from_bytes(data[words << 2 :], "little")) * _M) & _WORD
    value ^= value >> 13
    value = (value * _M) & _WORD
    return value ^ (value >> 15)


# In Python a hash costs as much as all else of a record together, and keys come again.
@lru_cache(maxsize=32_768)
def partition_of(key: bytes, partitions: int) -> int:
    """The number of the partition, of so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
