"""From seconds since 1970 to a moment."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["as_moment", "as_number", "moment"]

# A number written as JSON and read as a moment takes half as long as ``datetime.fromtimestamp``
# with a time zone: see docs/adr/0004.
as_number = msgspec.json.Encoder().encode
as_moment = msgspec.json.Decoder(datetime, strict=False).decode


def moment(seconds: float) -> datetime:
    """In UTC, to the nearest microsecond."""
    return as_moment(as_number(seconds))
