"""How long what is tried again later waits, and where."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busway_kafka._tiers import TIERS, tier_for


@pytest.mark.parametrize(
    ("wait", "tier"),
    [
        (-1, "now"),
        (0, "now"),
        (0.001, "10s"),
        (10, "10s"),
        (10.1, "1m"),
        (60, "1m"),
        (61, "10m"),
        (3_000, "1h"),
        (3_601, "6h"),
        (86_400, "1d"),
        (100_000, "7d"),
        (604_801, "long"),
        (1e12, "long"),
        (math.inf, "long"),
        (math.nan, "now"),
    ],
)
def test_the_tier_is_the_smallest_that_is_long_enough(wait: float, tier: str) -> None:
    assert tier_for(wait) == tier


@given(st.floats(min_value=0))
def test_no_wait_is_longer_than_its_tier(wait: float) -> None:
    assert wait <= TIERS[tier_for(wait)]


def test_the_tiers_are_fixed_and_ascend() -> None:
    assert list(TIERS) == ["now", "10s", "1m", "10m", "1h", "6h", "1d", "7d", "long"]
    assert list(TIERS.values()) == sorted(TIERS.values())
