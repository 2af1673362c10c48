"""What each process writes down outside the broker: one line for each thing it did or saw.

A line is ``<nanoseconds> <pid> <name> <what> <word>...``. It is one write to a file opened with
O_APPEND, so that kill -9 leaves whole lines only. The clock is the machine's monotonic one, which
all processes share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Journal", "Line", "Tail", "evidence", "parse"]


class Line(NamedTuple):
    """One line."""

    at: float
    """Seconds, from some moment in the past."""
    pid: int
    who: str
    what: str
    words: tuple[str, ...]


class Journal:
    """A file that one process appends to."""

    def __init__(self, path: Path, who: str, *, pid: int | None = None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._begin = f"{os.getpid() if pid is None else pid} {who}"

    def write(self, what: str, *words: object) -> None:
        """One line; no word may hold a space."""
        line = " ".join([f"{time.monotonic_ns()} {self._begin} {what}", *map(str, words)])
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(text: str) -> Line:
    at, pid, who, what, *words = text.split()
    return Line(int(at) / 1e9, int(pid), who, what, tuple(words))


class Tail:
    """The journals in a folder, read on from where the last reading ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def lines(self, limit: int = 1 << 20) -> Iterator[Line]:
        """What is new, at most about so many bytes of each journal."""
        for path in sorted(self._folder.glob("*.journal")):
            offset = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
            whole = data[: data.rfind(b"\n") + 1]
            self._read[path] = offset + len(whole)
            for line in whole.splitlines():
                yield parse(line.decode())


def evidence(folder: Path, word: str) -> list[str]:
    """Every line that holds a word, in order of time."""
    found: list[str] = []
    for path in folder.glob("*.journal"):
        with path.open() as file:
            found += [line.rstrip("\n") for line in file if word in line.split()]
    return sorted(found, key=lambda line: int(line.split(" ", 1)[0]))
