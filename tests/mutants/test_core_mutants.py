"""Each promise has a test that fails when the line that keeps it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from .core import MUTANTS
from .mutant import Mutant, outcome_of

pytestmark = pytest.mark.timeout(150)

TESTS_FAILED = 1  # pytest's exit status; 2 and more are errors, 5 is nothing collected


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_a_test_notices_that_it_is_broken(mutant: Mutant, tmp_path: Path) -> None:
    status, printed = outcome_of(mutant, mutant.caught_by, tmp_path)
    assert status == TESTS_FAILED, printed[-3000:]
