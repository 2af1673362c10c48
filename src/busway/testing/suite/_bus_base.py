"""The fixture of the tests that drive a whole bus over a transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from busway.transport import Transport

from ._base import SuiteBase
from ._town import Town

__all__ = ["BusSuiteBase"]


class BusSuiteBase(SuiteBase):
    @asynccontextmanager
    async def settle_in(self, transport: Transport) -> AsyncGenerator[Town]:
        """Hold the transport open for one test, as a broker runs while processes come and go."""
        async with transport:
            yield Town(transport, self.patience, self.silence)

    @pytest.fixture
    async def town(self, transport: Transport) -> AsyncIterator[Town]:
        async with self.settle_in(transport) as town:
            yield town
