"""Fetch what a Kafka for the tests consists of, once for this machine.

    python tools/kafka/prepare.py

It also has Java keep the classes that a start needs: with them a server is there in half the time.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.servers import KafkaServer, NoServer, ServerError
from tests.servers._jars import OLDEST_JAVA, archive, jars, java_version


def main() -> int:
    java = shutil.which("java")
    if java is None or java_version(java) < OLDEST_JAVA:
        return 1
    try:
        classes = archive(jars(), java)
        if not classes.exists():
            keep_classes(classes)
    except (NoServer, ServerError, OSError) as error:
        print(f"need_kafka: {error}", file=sys.stderr)
        return 1
    return 0


def keep_classes(classes: Path) -> None:
    """Java writes them at the end of a server. Of two who do this at once the last one counts."""
    with tempfile.TemporaryDirectory(dir=classes.parent) as folder:
        written = Path(folder) / classes.name
        server = KafkaServer()
        server.flags = [f"-XX:ArchiveClassesAtExit={written}"]
        with server:
            server.coordinator("nobody")
            server.stop()
        os.replace(written, classes)


if __name__ == "__main__":
    sys.exit(main())
