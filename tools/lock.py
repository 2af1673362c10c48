"""Write constraints.txt: the exact version of everything the development targets install.

    make lock

The newest versions are installed into a throw-away environment and listed. The file holds names
and versions only, so that it works with every index, and it serves every Python from 3.11 on: a
package that only another version needs is installed there in its newest version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in project["dependency-groups"].values():
        wanted += group
    with tempfile.TemporaryDirectory() as directory:
        venv.EnvBuilder(with_pip=True).create(directory)
        python = str(Path(directory) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", *wanted], check=True)
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True
        ).stdout.split("\n")
    pins = sorted((line for line in frozen if line), key=str.lower)
    for line in pins:
        if not PIN.fullmatch(line):
            sys.exit(f"tools/lock.py: not a name and a version, so not written: {line!r}")
    TARGET.write_text("# Written by `make lock`.\n" + "".join(f"{line}\n" for line in pins))
    print(f"tools/lock.py: {len(pins)} packages in {TARGET.name}")


if __name__ == "__main__":
    main()
