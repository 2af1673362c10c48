"""A machine whose programs are doubles that only note calls, for what installs servers on one."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["NEEDS_LISTS", "Machine"]

TOOLS = Path(__file__).resolve().parents[2] / "tools"

NOTES = '#!/bin/sh\necho "{name} $*" >> {folder}/asked\n{rest}\n'
# The first install fails, as one does with lists that are missing.
NEEDS_LISTS = 'case "$1" in update) : > {folder}/lists ;; install) [ -e {folder}/lists ] ;; esac'


class Machine:
    """A PATH of doubles, and what they were asked."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self._script = TOOLS / script
        for name in ("chmod", "rm", "tee"):
            self.has(name)
        (folder / "env").symlink_to("/usr/bin/env")

    def has(self, name: str, rest: str = "") -> None:
        program = self.folder / name
        rest = rest.replace("{folder}", str(self.folder))
        program.write_text(NOTES.format(name=name, folder=self.folder, rest=rest))
        program.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> str:
        """What the script said; what it says is never a failure."""
        ran = subprocess.run(
            ["/bin/sh", str(self._script), *arguments],
            env={"PATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return ran.stdout + ran.stderr

    @property
    def asked(self) -> str:
        path = self.folder / "asked"
        return path.read_text() if path.exists() else ""
