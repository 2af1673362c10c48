"""How the suite enters a transport for a test."""

from __future__ import annotations

from typing import Self

import pytest

from busway import TransportError
from busway.memory import MemoryTransport
from busway.testing.suite import SuiteBase

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Late(MemoryTransport):
    """Its broker is not there at so many tries."""

    def __init__(self, times: int, *, retryable: bool = True) -> None:
        super().__init__()
        self.tries = 0
        self._times = times
        self._retryable = retryable

    async def __aenter__(self) -> Self:
        self.tries += 1
        if self.tries <= self._times:
            raise TransportError("not now", retryable=self._retryable)
        return await super().__aenter__()


async def test_a_broker_that_is_slow_after_what_it_went_through_has_three_tries() -> None:
    late = Late(2)
    async with SuiteBase().drive(late) as driver:
        assert driver.transport is late
    assert late.tries == 3


@pytest.mark.parametrize(("times", "retryable", "tries"), [(9, True, 3), (9, False, 1)])
async def test_what_does_not_open_then_or_will_never_is_an_error(
    times: int, retryable: bool, tries: int
) -> None:
    late = Late(times, retryable=retryable)
    with pytest.raises(TransportError, match="not now"):
        async with SuiteBase().drive(late):
            raise AssertionError("it did not open")
    assert late.tries == tries
