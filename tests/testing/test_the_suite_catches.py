"""The suite is itself tested: each defect is found by the test named for it.

Found means that an assertion fails, soon; not that something crashes or hangs. Without the defect
the same test passes.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from busway.testing import PartitionedLog
from tests.testing.broken import acking, groups, receiving, rewinding, sending
from tests.testing.broken._broken import BrokenLog
from tests.testing.log_suite import LogSuite

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio

BROKEN: list[type[BrokenLog]] = [
    getattr(module, name)
    for module in (sending, receiving, acking, groups, rewinding)
    for name in module.__all__
]
CASES = [
    pytest.param(broken, test, id=f"{broken.__name__}-{test}")
    for broken in BROKEN
    for test in broken.caught_by
]
OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception)
FAILURES = {AssertionError, pytest.fail.Exception}
NAMED = sorted({test for broken in BROKEN for test in broken.caught_by})


class QuickSuite(LogSuite):
    """What must happen in process happens at once."""

    patience = 0.5
    silence = 0.02


async def run(transport: PartitionedLog, test: str) -> None:
    """One test of the suite, as pytest would run it."""
    suite = QuickSuite()
    with anyio.fail_after(10):
        async with suite.drive(transport) as driver:
            await getattr(suite, test)(driver)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


@pytest.mark.parametrize(("broken", "test"), CASES)
async def test_a_defect_is_caught_by_the_test_named_for_it(
    broken: type[BrokenLog], test: str
) -> None:
    with pytest.raises((Exception, *OUTCOMES)) as found:
        await run(broken(), test)
    assert {type(each) for each in leaves(found.value)} <= FAILURES, repr(found.value)


@pytest.mark.parametrize("test", NAMED)
async def test_without_a_defect_the_same_test_passes(test: str) -> None:
    await run(PartitionedLog(), test)


def test_there_are_at_least_fifteen_defects() -> None:
    assert len(BROKEN) >= 15
