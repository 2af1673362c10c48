"""Processes that were told different channels find out when they start."""

from __future__ import annotations

import pytest

from busway import Bus, OptionError
from busway.memory import NullTransport
from busway.testing import PartitionedLog
from tests.facts import up

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def bus_of(log: PartitionedLog, channels: dict[str, str], *patterns: str) -> Bus:
    bus = Bus(log, channels=channels)

    async def handle(data: object) -> None:
        pass

    for pattern in patterns:
        bus.add(handle, pattern, group=f"of {pattern}")
    return bus


async def test_another_channel_for_the_same_pattern_keeps_a_bus_from_starting() -> None:
    log = PartitionedLog()
    async with up(bus_of(log, {"order.*": "sales"})):
        with pytest.raises(OptionError, match=r"'order\.\*' lies in 'shop' here, and in 'sales'"):
            await bus_of(log, {"order.*": "shop"}).start()


async def test_a_pattern_that_others_keep_elsewhere_matters_to_who_subscribes_to_it() -> None:
    log = PartitionedLog()
    async with up(bus_of(log, {"order.placed": "sales"})):
        with pytest.raises(OptionError, match=r"channels=\{'order\.placed': 'sales'\}"):
            await bus_of(log, {}, "order.*").start()


async def test_a_pattern_that_others_keep_elsewhere_is_nothing_to_everybody_else() -> None:
    log = PartitionedLog()
    async with up(bus_of(log, {"order.placed": "sales"}, "order.*")):
        for others in (
            bus_of(log, {}, "user.*"),
            bus_of(log, {}, "**"),  # it looks everywhere
            bus_of(log, {"order.placed": "sales"}, "order.*"),
        ):
            async with up(others):
                pass


async def test_a_transport_that_keeps_no_chart_is_not_asked() -> None:
    async with up(Bus(NullTransport(), channels={"order.*": "sales"})):
        pass
