"""The tests of this adapter run on asyncio: its client knows no other loop.

The servers are fixtures of every test, from `tests/servers/plugin.py`.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["anyio_backend"]

# Five minutes for what the suite on one broker says nearly all of: `make test-cluster`.
collect_ignore = [] if "BUSWAY_TEST_CLUSTER" in os.environ else ["test_suite_cluster.py"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
