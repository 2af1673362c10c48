"""The helper process of `_sweeper`: started by path, it imports nothing of this package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

__all__: list[str] = []


def main() -> None:
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    left: dict[int, tuple[str, list[str | int]]] = {}
    for line in sys.stdin:
        key, how, what = json.loads(line)
        if how == "forget":
            left.pop(key, None)
        else:
            left[key] = (how, what)
    # The last ones first: a server goes before the folder that was made for it.
    for how, what in reversed(left.values()):
        sweep(how, what)


def sweep(how: str, what: list[str | int]) -> None:
    if how == "kill":
        kill(int(what[0]))
    elif how == "remove":
        shutil.rmtree(str(what[0]), ignore_errors=True)
    else:
        subprocess.run([str(each) for each in what], capture_output=True, check=False, timeout=20)


def kill(group: int) -> None:
    for _ in range(100):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.01)


if __name__ == "__main__":
    main()
