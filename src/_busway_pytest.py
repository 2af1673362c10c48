"""Fixtures for the tests of an application. pytest finds them where busway is installed.

They are no async fixtures, so they work with whatever runs the async tests: anyio's plugin, trio's
or asyncio's. A conftest that has a fixture of the same name goes before.

This stands beside the package, not in it: pytest imports it in every run on the machine, also for
projects that never use it, and importing it must import neither busway nor anyio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from busway import Bus
    from busway.testing import Captured, VirtualClock

__all__ = ["bus", "captured", "virtual_clock"]


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The clock of the fixture ``bus``."""
    from busway.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def bus(virtual_clock: VirtualClock) -> Bus:
    """A new bus in this process, ``Bus("memory://", service="test")`` with a virtual clock, not
    started: subscribe to it, then ``async with bus:``."""
    from busway import Bus

    return Bus("memory://", service="test", clock=virtual_clock)


@pytest.fixture
def captured(bus: Bus) -> Iterator[Captured]:
    """What the fixture ``bus`` does, noted from the beginning of the test."""
    from busway.testing import capture

    with capture(bus) as noted:
        yield noted
