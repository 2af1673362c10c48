"""One rule of the core taken out, by a change of its text."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

__all__ = ["Mutant", "outcome_of"]

ROOT = Path(__file__).resolve().parents[2]

# Seconds. No test takes a tenth of it when nothing is wrong.
PATIENCE = 15


class Mutant(msgspec.Struct, frozen=True):
    """A promise, the line that keeps it, what stands there instead, and who notices."""

    promise: str
    module: str
    """Below the package."""
    line: str
    """Text that stands there exactly once."""
    instead: str
    caught_by: str
    """A pytest node id, or a file and a ``-k`` expression separated by a space."""
    package: str = "src/busway"
    """Its folder, from the root of the repository."""

    def applied_to(self, source: Path) -> None:
        """Change the copy of the package below ``source``."""
        path = source / Path(self.package).name / self.module
        text = path.read_text()
        found = text.count(self.line)
        assert found == 1, (
            f"{self.module} holds {self.line!r} {found} times: the mutant has to follow the code"
        )
        path.write_text(text.replace(self.line, self.instead))


def outcome_of(mutant: Mutant, folder: Path) -> tuple[int, str]:
    """Run the test over a changed copy of the package; pytest's exit status and what it printed."""
    source = folder / "src"
    package = ROOT / mutant.package
    shutil.copytree(package, source / package.name)
    mutant.applied_to(source)
    where, _, expression = mutant.caught_by.partition(" ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", where]
    # What waits for something that the mutant never does is ended soon: that is noticed, too.
    command += [f"--timeout={PATIENCE}", "-o", f"faulthandler_timeout={2 * PATIENCE}"]
    if expression:
        command += ["-k", expression]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**_environment(), "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def _environment() -> dict[str, str]:
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
