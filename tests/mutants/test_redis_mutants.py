"""Each mechanism of the adapter for Redis has a test that fails without it."""

from __future__ import annotations

import pytest

from tests.servers import RedisServer

from .mutant import TESTS_FAILED, Mutant
from .outcomes import Outcomes, outcomes
from .redis import MUTANTS

__all__ = ["outcomes"]

# In its turn: several run side by side.
pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module", autouse=True)
def _a_redis(redis_server: RedisServer) -> None:
    """Where there is none, those tests are skipped, and so are these."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_a_test_notices_that_it_is_gone(mutant: Mutant, outcomes: Outcomes) -> None:
    status, printed = outcomes[mutant.promise].result()
    assert status == TESTS_FAILED, printed[-3000:]
