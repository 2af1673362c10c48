"""Make or refresh the virtual environment of the development targets.

    python3 tools/make_venv.py .venv
    python3 tools/make_venv.py --lowest .venv-lowest

It needs nothing but the standard library. The packages are the dependency groups of
pyproject.toml in the versions of constraints.txt; pip reads its own settings (an index, a cache)
from the environment as always. Editing a tool's settings in pyproject.toml installs nothing: only
what decides about packages is compared with what was installed last.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make or refresh a virtual environment.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("--lowest", action="store_true", help="the lowest dependencies allowed")
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    constraints = CONSTRAINTS.read_text()
    if options.lowest:
        constraints = lower_bounds(project, constraints)
    with one_at_a_time(options.venv):
        refresh(options.venv, project, constraints, groups(project, options.lowest))


def refresh(venv: Path, project: dict[str, Any], constraints: str, wanted: list[str]) -> None:
    stamp = venv / ".stamp"
    python = venv / "bin" / "python"
    version = "{}.{}.{}".format(*sys.version_info)
    state = fingerprint(version, constraints, wanted, project["project"], project["build-system"])
    before = stamp.read_text().split() if stamp.exists() else []
    if before == [version, state] and works(python):
        stamp.touch()
        return
    if before[:1] != [version] or not works(python):
        say(f"making {venv} with Python {version}")
        shutil.rmtree(venv, ignore_errors=True)
        run(sys.executable, "-m", "venv", str(venv))
    say(f"installing {len(wanted)} development packages and what they need into {venv}")
    stamp.unlink(missing_ok=True)
    install(python, wanted, constraints)
    stamp.write_text(f"{version} {state}\n")


def install(python: Path, wanted: list[str], constraints: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        pinned = Path(directory) / "constraints.txt"
        pinned.write_text(constraints)
        run(str(python), "-m", "pip", "install", "-c", str(pinned), *wanted)
    # Its own build tools are in the environment already, locked like everything else.
    own = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    run(str(python), "-m", "pip", "install", *own)


def groups(project: dict[str, Any], core_only: bool = False) -> list[str]:
    """Every package to install by name: pip knows dependency groups only since 25.1."""
    names = ["build", "test"] if core_only else list(project["dependency-groups"])
    found = list(project["project"]["dependencies"])
    for name in names:
        found += project["dependency-groups"][name]
    return found


def lower_bounds(project: dict[str, Any], constraints: str) -> str:
    """The constraints with each of the project's own dependencies held at its lower bound."""
    lowest = dict(each.split(">=") for each in project["project"]["dependencies"])
    others = [line for line in constraints.splitlines() if line.split("==")[0] not in lowest]
    say("lowest: " + ", ".join(f"{name} {version}" for name, version in lowest.items()))
    return "\n".join([*others, *(f"{name}=={version}" for name, version in lowest.items())])


def fingerprint(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def works(python: Path) -> bool:
    """An environment that was moved, or whose Python was removed, is there and does not run."""
    try:
        done = subprocess.run([python, "-c", "import pip"], check=False, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def one_at_a_time(venv: Path) -> Iterator[None]:
    """Two makes at once in one clone would install over each other."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(venv.with_name(venv.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=environment())
    except subprocess.CalledProcessError as error:
        sys.exit(f"tools/make_venv.py: failed with status {error.returncode}: {' '.join(command)}")


def environment() -> dict[str, str]:
    return {"PIP_DISABLE_PIP_VERSION_CHECK": "1", **os.environ}


def say(text: str) -> None:
    print(f"tools/make_venv.py: {text}", flush=True)


if __name__ == "__main__":
    main()
