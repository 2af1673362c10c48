"""Make or refresh the virtual environment of the development targets.

    python3 tools/make_venv.py .venv
    python3 tools/make_venv.py --lowest .venv-lowest

It needs nothing but the standard library. The packages are the dependency groups of
pyproject.toml in the versions of constraints.txt, and the core and every adapter as they stand in
this clone; pip reads its own settings (an index, a cache) from the environment as always. Editing
a tool's settings in a pyproject.toml installs nothing: only what decides about packages is
compared with what was installed last.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
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
    members = workspace()
    constraints = CONSTRAINTS.read_text()
    if options.lowest:
        constraints = lower_bounds(members, constraints)
    with one_at_a_time(options.venv):
        refresh(options.venv, members, constraints, wanted_by(members, options.lowest))


def workspace() -> dict[Path, dict[str, Any]]:
    """The core and the adapters, each folder with its pyproject.toml; the core is first."""
    folders = [ROOT, *sorted(each.parent for each in ROOT.glob("adapters/*/pyproject.toml"))]
    return {each: tomllib.loads((each / "pyproject.toml").read_text()) for each in folders}


def refresh(
    venv: Path, members: dict[Path, dict[str, Any]], constraints: str, wanted: list[str]
) -> None:
    stamp = venv / ".stamp"
    python = venv / "bin" / "python"
    version = "{}.{}.{}".format(*sys.version_info)
    own = [(each["project"], each["build-system"]) for each in members.values()]
    state = fingerprint(version, constraints, wanted, own)
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
    install(python, list(members), wanted, constraints)
    stamp.write_text(f"{version} {state}\n")


def install(python: Path, folders: list[Path], wanted: list[str], constraints: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        pinned = Path(directory) / "constraints.txt"
        pinned.write_text(constraints)
        run(str(python), "-m", "pip", "install", "-c", str(pinned), *wanted)
    # Their own build tools are in the environment already, locked like everything else.
    own = ["--no-deps", "--no-build-isolation"]
    for folder in folders:
        own += ["--editable", str(folder)]
    run(str(python), "-m", "pip", "install", *own)


def wanted_by(members: dict[Path, dict[str, Any]], without_tools: bool = False) -> list[str]:
    """Every package to install by name: pip knows dependency groups only since 25.1."""
    found: list[str] = []
    ours = {each["project"]["name"] for each in members.values()}
    for member in members.values():
        found += [each for each in member["project"]["dependencies"] if name_of(each) not in ours]
        groups = member.get("dependency-groups", {})
        names = ["build", "test"] if without_tools else list(groups)
        for name in names:
            found += groups.get(name, [])
    return list(dict.fromkeys(found))


def lower_bounds(members: dict[Path, dict[str, Any]], constraints: str) -> str:
    """The constraints with each dependency of the core and of the adapters at its lower bound.

    Where two of them bound the same package, the higher bound is the lowest that both allow.
    """
    lowest: dict[str, str] = {}
    for member in members.values():
        for each in member["project"]["dependencies"]:
            name, version = name_of(each), each.partition(">=")[2]
            if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
                sys.exit(f"tools/make_venv.py: {each!r} has no lower bound to test with")
            lowest[name] = max(lowest.get(name, "0"), version, key=numbers)
    for member in members.values():
        lowest.pop(member["project"]["name"], None)
    others = [line for line in constraints.splitlines() if name_of(line) not in lowest]
    say("lowest: " + ", ".join(f"{name} {version}" for name, version in lowest.items()))
    return "\n".join([*others, *(f"{name}=={version}" for name, version in lowest.items())])


def name_of(requirement: str) -> str:
    """Without extras, versions and markers, in the spelling that all agree about."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


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
