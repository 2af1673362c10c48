"""The suite's tests of a silent broker: right adapters pass them, and each defect is found."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import anyio
import pytest

from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from busway.testing.suite import Deadlines, PowerDeadlines, SuiteBase
from busway.transport import Transport
from tests.testing.broken._silent import Silent, SilentAndDone
from tests.testing.broken.silence import CALLS, DEFECTS, Defect
from tests.testing.test_the_suite_catches import FAILURES, OUTCOMES, leaves

__all__ = [
    "TestALogBehindASilentBroker",
    "TestALogBehindOneThatDoesIt",
    "TestMemoryBehindASilentBroker",
    "TestMemoryBehindOneThatDoesIt",
]

pytestmark = pytest.mark.anyio


class SilentHooks(SuiteBase):
    patience = 1.0
    silence = 0.02
    silent: ClassVar[type[Silent]] = Silent

    def stalled(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        assert isinstance(transport, Silent)
        return transport.silence()


class BehindMemory(SilentHooks, Deadlines, PowerDeadlines):
    @pytest.fixture
    def transport(self) -> Transport:
        return memory(self.silent)


class BehindALog(SilentHooks, Deadlines, PowerDeadlines):
    @pytest.fixture
    def transport(self) -> Transport:
        return self.silent(PartitionedLog())


class TestMemoryBehindASilentBroker(BehindMemory):
    pass


class TestMemoryBehindOneThatDoesIt(BehindMemory):
    silent = SilentAndDone


class TestALogBehindASilentBroker(BehindALog):
    pass


class TestALogBehindOneThatDoesIt(BehindALog):
    silent = SilentAndDone


class Quick(BehindMemory):
    """What must end ends at once, or never."""

    patience = 0.3


CASES = [
    pytest.param(defect, test, id=f"{defect.__name__}-{test}")
    for defect in DEFECTS
    for test in defect.caught_by
]


def memory(silent: type[Silent]) -> Silent:
    """Behind it is the transport with the most powers."""
    return silent(MemoryTransport(history=100, lease=0.5))


async def run(defect: type[Defect], test: str) -> None:
    suite = Quick()
    with anyio.fail_after(10):
        async with suite.drive(memory(defect)) as driver:
            await getattr(suite, test)(driver)


@pytest.mark.parametrize(("defect", "test"), CASES)
async def test_a_defect_is_caught_by_the_test_named_for_it(defect: type[Defect], test: str) -> None:
    with pytest.raises((Exception, *OUTCOMES)) as found:
        await run(defect, test)
    assert {type(each) for each in leaves(found.value)} <= FAILURES, repr(found.value)


def test_every_call_that_waits_for_a_broker_has_a_test() -> None:
    tests = {name for name in dir(BehindMemory) if name.startswith("test_")}
    assert set(CALLS.values()) <= tests
