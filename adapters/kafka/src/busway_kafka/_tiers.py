"""How long what is tried again later waits, in steps.

Kafka keeps one order in a partition, so what is due soon must not stand behind what is due late.
There is a topic for each step; within one, whoever reads it keeps what is not due yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Final

__all__ = ["NOW", "SOONEST", "TIERS", "tier_for"]

TIERS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "now": 0.0,
        "10s": 10.0,
        "1m": 60.0,
        "10m": 600.0,
        "1h": 3_600.0,
        "6h": 21_600.0,
        "1d": 86_400.0,
        "7d": 604_800.0,
        "long": inf,
    }
)
"""The longest wait, in seconds, of what lies in each: part of the names of topics, so for good."""
NOW: Final = "now"
"""What does not wait."""

SOONEST: Final = "10s"
"""Where nearly everything goes that fails once."""

_names: Final = tuple(TIERS)
_longest: Final = tuple(TIERS.values())


def tier_for(wait: float) -> str:
    """The smallest tier for so many seconds."""
    return _names[bisect_left(_longest, wait)] if wait > 0 else NOW
