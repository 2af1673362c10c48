"""Fixtures for the tests of an application. pytest finds them where busway is installed.

They are no async fixtures, so they work with whatever runs the async tests: anyio's plugin, trio's
or asyncio's. A conftest that has a fixture of the same name goes before.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from busway import Bus

from ._capture import Captured, capture
from ._virtual_clock import VirtualClock

__all__ = ["bus", "captured", "virtual_clock"]


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The clock of the fixture ``bus``."""
    return VirtualClock()


@pytest.fixture
def bus(virtual_clock: VirtualClock) -> Bus:
    """A new bus in this process, ``Bus("memory://", service="test")`` with a virtual clock, not
    started: subscribe to it, then ``async with bus:``."""
    return Bus("memory://", service="test", clock=virtual_clock)


@pytest.fixture
def captured(bus: Bus) -> Iterator[Captured]:
    """What the fixture ``bus`` does, noted from the beginning of the test."""
    with capture(bus) as noted:
        yield noted
