"""Nothing is left of a process's servers when it ends, even by kill -9.

One helper process for each process that starts servers. It is told over its standard input what
there is, and when that closes it kills and removes what is still there. The kernel's signal at a
parent's death (PR_SET_PDEATHSIG) would not do: it comes when the *thread* that started the server
ends, and a pool's threads end when they are idle.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

__all__ = ["Leftover"]

_lock = threading.Lock()
_keys = itertools.count()
_helper: tuple[int, subprocess.Popen[str]] | None = None


class Leftover:
    """Something that must not outlive this process: a group of processes to kill, a folder to
    remove, a command to run. ``gone()`` when it is no more."""

    def __init__(self, how: Literal["kill", "remove", "run"], *what: str | int) -> None:
        self._key = next(_keys)
        _tell(self._key, how, what)

    def gone(self) -> None:
        _tell(self._key, "forget", ())


def _tell(key: int, how: str, what: tuple[str | int, ...]) -> None:
    with _lock:
        helper = _started()
        assert helper.stdin is not None
        helper.stdin.write(json.dumps([key, how, what]) + "\n")
        helper.stdin.flush()


def _started() -> subprocess.Popen[str]:
    global _helper
    # A fork has its parent's; what it starts itself needs its own.
    if _helper is None or _helper[0] != os.getpid():
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("_sweeping.py"))]
        helper = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        _helper = (os.getpid(), helper)
        atexit.register(_finish, *_helper)
    return _helper[1]


def _finish(owner: int, helper: subprocess.Popen[str]) -> None:
    if owner == os.getpid():
        helper.communicate(timeout=30)
