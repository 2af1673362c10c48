"""The bus's size limit, for a codec that has none of its own."""

from __future__ import annotations

from .codec import Codec
from .errors import TooLarge
from .message import Envelope

__all__ = ["Limited"]


class Limited:
    """Another codec, of which nothing larger than ``max_size`` bytes gets out."""

    def __init__(self, inner: Codec, max_size: int) -> None:
        self.inner = inner
        self.name = inner.name
        self.content_type = inner.content_type
        self._max_size = max_size

    def encode(self, envelope: Envelope, /) -> bytes:
        """Raises TooLarge, and what the other raises."""
        encoded = self.inner.encode(envelope)
        if len(encoded) > self._max_size:
            raise TooLarge(
                f"{envelope.type}: the envelope takes {len(encoded):,} bytes, over the limit of "
                f"{self._max_size:,}. Send a reference to where the data lies, or raise max_size."
            )
        return encoded

    def __repr__(self) -> str:
        return f"{self.inner!r} of at most {self._max_size:,} bytes"
