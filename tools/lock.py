"""Write constraints.txt: the exact version of everything the development targets install.

    make lock

The newest versions are installed into a throw-away environment and listed. The file holds names
and versions only, so that it works with every index, and it serves every Python from OLDEST on,
whichever one wrote it: a version that asks for a newer one is passed over.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import make_venv

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
# requires-python says 3.11, and 3.11.2 is what Debian 12 has: a patch release matters.
OLDEST = "3.11.0"
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")

TOO_NEW = """
import importlib.metadata, json
from packaging.specifiers import SpecifierSet
print(json.dumps([
    f"{each.name}<{each.version}"
    for each in importlib.metadata.distributions()
    if OLDEST not in SpecifierSet(each.metadata.get("Requires-Python") or "")
]))
"""


def main() -> None:
    wanted = make_venv.wanted_by(make_venv.workspace())
    with tempfile.TemporaryDirectory() as directory:
        venv.EnvBuilder(with_pip=True).create(directory)
        python = str(Path(directory) / "bin" / "python")
        resolve(python, wanted)
        frozen = output(python, "-m", "pip", "freeze").split("\n")
    pins = sorted((line for line in frozen if line), key=str.lower)
    for line in pins:
        if not PIN.fullmatch(line):
            sys.exit(f"tools/lock.py: not a name and a version, so not written: {line!r}")
    TARGET.write_text("# Written by `make lock`.\n" + "".join(f"{line}\n" for line in pins))
    print(f"tools/lock.py: {len(pins)} packages in {TARGET.name}")


def resolve(python: str, wanted: list[str]) -> None:
    passed_over: list[str] = []
    while True:
        command = [python, "-m", "pip", "install", "--upgrade", *wanted, *passed_over]
        subprocess.run(command, check=True)
        too_new = json.loads(output(python, "-c", f"OLDEST = {OLDEST!r}\n{TOO_NEW}"))
        if not too_new:
            return
        print(f"tools/lock.py: needs a Python newer than {OLDEST}, so: {', '.join(too_new)}")
        passed_over += too_new


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
