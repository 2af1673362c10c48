"""A server whose clock is moved while it runs, by a library that is loaded before its own."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Self

from ._errors import NoServer
from ._redis import RedisServer

__all__ = ["MovedRedis"]

_SOURCE = Path(__file__).with_name("clock.c")
_OFFSET = struct.Struct("=q")


class MovedRedis(RedisServer):
    """A Redis on whose clock the time of day can jump. Its processes alone see it.

    It takes a local redis-server, a C compiler and Linux; else starting raises NoServer.
    """

    def start(self, *, ready: bool = True) -> Self:
        library, offset = self.folder / "clock.so", self.folder / "moved"
        if not library.exists():
            self._compile(library)
            offset.write_bytes(_OFFSET.pack(0))
        kept = os.environ.get("LD_PRELOAD")
        os.environ |= {"LD_PRELOAD": str(library), "BUSWAY_MOVED_CLOCK": str(offset)}
        try:
            return super().start(ready=ready)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["BUSWAY_MOVED_CLOCK"]
            if kept is not None:
                os.environ["LD_PRELOAD"] = kept

    def move(self, seconds: int) -> None:
        """From now on its clock shows the time of day and so many seconds."""
        with (self.folder / "moved").open("r+b") as file:
            file.write(_OFFSET.pack(seconds))

    def _compile(self, library: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if sys.platform != "linux" or compiler is None or shutil.which("redis-server") is None:
            raise NoServer("moving its clock takes Linux, a C compiler and a local redis-server")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if said.returncode != 0:
            raise NoServer(f"{' '.join(command)} failed: {said.stderr.strip()}")
