"""Envelopes as bytes: what the bus writes, and what it reads.

Reading is one function for everything that may arrive; writing is a codec. The wire forms are
described in ``docs/reference/wire-format.md`` and are CloudEvents 1.0.
"""

from __future__ import annotations

from ._binary import decode_binary, encode_binary
from ._codecs import Codec, JsonCodec, MsgpackCodec, codec
from ._read import decode

__all__ = [
    "Codec",
    "JsonCodec",
    "MsgpackCodec",
    "codec",
    "decode",
    "decode_binary",
    "encode_binary",
]
