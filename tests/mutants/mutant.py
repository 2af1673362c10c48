"""One rule of the core taken out, by a change of its text."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

__all__ = ["CORE", "TESTS_FAILED", "Mutant", "compiled", "outcome_of"]

ROOT = Path(__file__).resolve().parents[2]

# Seconds. No test takes a tenth of it when nothing is wrong.
PATIENCE = 15

# Seconds for a run of them: for what takes the alarm of the one test for something else.
LONGEST = 100

# Of pytest's exit statuses, of which 2 and more are errors.
TESTS_FAILED = 1
NOTHING_COLLECTED = 5


CORE = "src/busway"


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
    package: str = CORE
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


IMPORT_ALL = """
import importlib, pkgutil

for name in {names}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def compiled(packages: Sequence[str], folder: Path) -> Path:
    """Copies of packages as pytest compiles them. That takes longer than most of these tests, and a
    copy of the copies has it done."""
    source = folder / "src"
    names = [Path(package).name for package in packages]
    for package, name in zip(packages, names, strict=True):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / name, ignore=ignored)
    (folder / "test_all.py").write_text(IMPORT_ALL.format(names=names))
    (folder / "pytest.ini").write_text("[pytest]")
    ran = _pytest(folder, source, "test_all.py", "--collect-only", write_bytecode=True)
    assert ran.returncode == NOTHING_COLLECTED, ran.stdout + ran.stderr
    return source


def outcome_of(mutant: Mutant, packages: Path, folder: Path) -> tuple[int, str]:
    """Run the test over a changed copy of the package; pytest's exit status and what it printed."""
    source = folder / "src"
    shutil.copytree(packages, source)
    mutant.applied_to(source)
    where, _, expression = mutant.caught_by.partition(" ")
    # What waits for something that the mutant never does is ended soon: that is noticed, too.
    # Only while a test runs: in the middle of a report, the alarm would be an error of pytest's.
    words = ["-x", where, f"--timeout={PATIENCE}", "-o", "timeout_func_only=true"]
    words += ["-p", "tests.mutants.unshrunk"]
    if expression:
        words += ["-k", expression]
    try:
        ran = _pytest(ROOT, source, *words)
    except subprocess.TimeoutExpired as error:
        return TESTS_FAILED, f"ended after {error.timeout:.0f} s: {error.stdout!r}"
    return ran.returncode, ran.stdout + ran.stderr


def _pytest(
    where: Path, source: Path, *words: str, write_bytecode: bool = False
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    own = {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "" if write_bytecode else "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=where,
        env={**kept, **own},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
