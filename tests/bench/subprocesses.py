"""Figures that need a process of their own: memory at its peak, and time to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ask", "peak_bytes"]

PATIENCE = 300


def ask(module: str, *arguments: object) -> Any:
    """Run a module of the bench in a fresh interpreter and return the JSON that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def peak_bytes() -> int:
    """The most memory this process has had so far."""
    if sys.platform == "linux":
        # What getrusage says begins with what the process had that this one was forked from.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
