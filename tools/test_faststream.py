"""Run the tests of BusBroker with every FastStream that it says it works with.

    python tools/test_faststream.py
    python tools/test_faststream.py 0.7.6 -- -k routing

Each version has a virtual environment of its own in .venv-faststream, with what these tests need
and nothing else; the second run finds them there. They run side by side. What takes servers and
time is left to `make test`, which runs it with the version of constraints.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-faststream"
VERSIONS = ("0.7.6", "0.7.7", "0.7.8")
TESTS = ROOT / "adapters" / "faststream" / "tests" / "broker"
LEFT = ("test_brokers.py", "test_the_example_anywhere.py")
PACKAGES = (
    "aiokafka", "anyio", "attrs", "editables", "hatchling", "hiredis", "hypothesis", "msgspec",
    "opentelemetry-sdk", "prometheus-client", "pydantic", "pytest", "pytest-timeout", "redis",
)  # fmt: skip
OURS = (".", "adapters/faststream", "adapters/kafka", "adapters/redis")


def main(arguments: list[str]) -> int:
    """The exit status: that of the first version whose tests fail."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    versions, more = arguments[:split] or list(VERSIONS), arguments[split + 1 :]
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda version: tested(version, more), versions))
    for version, status in zip(versions, statuses, strict=True):
        print(f"FastStream {version}: {'passed' if status == 0 else f'failed ({status})'}")
    return next((status for status in statuses if status), 0)


def tested(version: str, more: list[str]) -> int:
    python = environment(version)
    left = [f"--ignore={TESTS / name}" for name in LEFT]
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *left,
        *more,
        str(TESTS),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"--- FastStream {version}\n{done.stdout}", flush=True)
    return done.returncode


def environment(version: str) -> Path:
    """Its interpreter; made when it is not there."""
    folder = VENVS / version
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    wanted = [f"faststream[cli]=={version}", *PACKAGES]
    state = "\n".join([sys.version, *wanted])
    if stamp.exists() and stamp.read_text() == state:
        return python
    run(sys.executable, "-m", "venv", "--clear", str(folder))
    # Beside FastStream itself what is locked: a newer pytest is not what is tested here.
    locked = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = folder / "constraints.txt"
    pinned.write_text("\n".join(each for each in locked if not each.startswith("faststream==")))
    run(str(python), "-m", "pip", "install", "--quiet", "-c", str(pinned), *wanted)
    ours = [each for folder in OURS for each in ("--editable", str(ROOT / folder))]
    own = ["--quiet", "--no-deps", "--no-build-isolation"]
    run(str(python), "-m", "pip", "install", *own, *ours)
    stamp.write_text(state)
    return python


def run(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
