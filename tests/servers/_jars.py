"""What runs a Kafka: Java with the jars of Maven's repository, or what is in Docker's image.

The jars are fetched once, and kept outside of the repository: where BUSWAY_KAFKA_JARS says, or in
``~/.cache/busway/kafka-<version>``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ._errors import NoServer
from ._running import need_engine

__all__ = ["OLDEST_JAVA", "Runtime", "archive", "jars", "java_version", "runtime"]

_POM = Path(__file__).resolve().parents[2] / "tools" / "kafka" / "pom.xml"
_PATIENCE = 600

# It has to begin soon and to need little; what it does at its best does not matter here.
FLAGS = (
    "-Xmx384m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


OLDEST_JAVA = 17


class Runtime(NamedTuple):
    """How to run one of Kafka's classes: its name and arguments follow the command."""

    command: tuple[str, ...]
    image: str | None
    """Of Docker, in a container of which the command runs; None: on this machine."""


def runtime(*flags: str) -> Runtime:
    """What this machine has; ``flags`` are Java's. Raises NoServer."""
    java = shutil.which("java")
    if java is None or java_version(java) < OLDEST_JAVA:
        need_engine(f"java of version {OLDEST_JAVA} or newer")
        return Runtime(("java", *FLAGS, *flags, "-cp", "/opt/kafka/libs/*"), _image())
    place = jars()
    classes = archive(place, java)
    shared = [f"-XX:SharedArchiveFile={classes}"] if classes.exists() and not flags else []
    return Runtime((java, *FLAGS, *shared, *flags, "-cp", f"{place}/*"), None)


def jars() -> Path:
    """Where they are, and fetched when they are not there. Raises NoServer."""
    named = os.environ.get("BUSWAY_KAFKA_JARS")
    place = Path(named) if named else _cache() / f"kafka-{_version()}"
    if not any(place.glob("kafka_*.jar")):
        problem = _fetch(place, os.environ.get("PATH", ""))
        if problem:
            raise NoServer(problem)
    return place


def archive(place: Path, java: str) -> Path:
    """Where Java keeps the classes that a start needs, so that the next one takes half the time.
    It is no mistake when it is missing; `tools/kafka/prepare.py` makes it."""
    program = Path(java).resolve()
    known = hashlib.sha256(f"{program} {program.stat().st_mtime_ns} {FLAGS}".encode())
    return place / f"classes-{known.hexdigest()[:12]}.jsa"


@functools.cache
def java_version(java: str) -> int:
    """Such as 17; 0 when it does not say."""
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    # Up to Java 8 it began with a one.
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else 0


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "busway"


def _version() -> str:
    found = re.search(r"<kafka.version>(.+)</kafka.version>", _POM.read_text())
    assert found is not None
    return found[1]


def _image() -> str:
    return f"apache/kafka:{_version()}"


@functools.cache
def _fetch(place: Path, path: str) -> str:
    """What is wrong, if anything; it is not tried twice. They are fetched into a folder beside it
    first: of two processes that do so at once, one is first. ``path`` is there for the cache."""
    if shutil.which("mvn", path=path) is None:
        return "there is no mvn on PATH to fetch Kafka with"
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        target = Path(folder) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
        problem = _ran([*command, f"-DoutputDirectory={target}"])
        if problem:
            return f"mvn could not fetch Kafka: {problem}"
        try:
            target.rename(place)
        except OSError:
            if not any(place.glob("kafka_*.jar")):
                raise
    return ""


def _ran(command: Sequence[str]) -> str:
    """What it said when it failed."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {_PATIENCE} s"
    said = (done.stdout + done.stderr).strip()
    return said[-500:] or f"status {done.returncode}" if done.returncode else ""
