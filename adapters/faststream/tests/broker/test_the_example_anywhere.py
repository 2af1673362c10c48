"""The example that runs anywhere does: in a process, on Redis, on Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__: list[str] = []

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@pytest.mark.parametrize("where", ["memory", "redis", "kafka"])
def test_the_same_app_runs_there(where: str, request: pytest.FixtureRequest) -> None:
    url = "memory://"
    if where != "memory":
        found: str = request.getfixturevalue(f"{where}_url")
        url = f"{found}{'&' if '?' in found else '?'}prefix=example22."
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "22_the_same_app_anywhere.py"],
        env={**os.environ, "SHOP_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert f"in order, on {where}" in done.stdout
