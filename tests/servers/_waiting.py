"""What the tests of the servers wait for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["alive", "until"]

PATIENCE = 20.0


def until(fact: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < limit
        time.sleep(0.01)


def alive(process: int) -> bool:
    """A process that nobody has waited for is not: in a container there may be nobody who does."""
    status = Path(f"/proc/{process}/stat")
    if Path("/proc/self").exists():
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
