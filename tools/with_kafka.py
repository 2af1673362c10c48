"""Run a command beside a Kafka of its own.

    python tools/with_kafka.py python -m examples.flights

The server is the tests': on a free port, in a temporary folder. The command finds it in BUSWAY_URL,
and its exit status is that of this.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers import KafkaServer, NoServer


def main(command: list[str]) -> int:
    try:
        server = KafkaServer()
    except NoServer as error:
        print(f"no Kafka can be started: {error}", file=sys.stderr)
        return 2
    with server:
        environment = {**os.environ, "BUSWAY_URL": server.url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
