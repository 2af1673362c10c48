"""``python -m tests.faults.chaos``: several processes over one broker, while things go wrong.

Processes are killed and stopped, connections cut and stalled, the server killed and started again,
by a schedule that follows from the seed. Each process keeps a journal outside the broker. From the
journals an oracle says whether a promise was broken; then the status is 1.

Without a URL it starts a Redis of its own, which it can kill; with ``--url kafka``, three Kafka
brokers. Connections can be cut there, and where the URL names one host and port.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from tests.servers import KafkaCluster, NoServer, RedisServer

from ._broker import Broker, Given, OwnRedis, is_kafka
from ._own_kafka import OwnKafka
from ._report import print_report
from ._run import Options, Outcome, Run

__all__ = ["main"]

QUERY = "?lease=3s&shards=4"
KAFKA_QUERY = "?lease=5s&partitions=12"


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long things go wrong (15)")
    parser.add_argument("--url", default="", help="of a broker that runs; or redis, kafka: started")
    parser.add_argument("--query", default="", help="of the broker that is started")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; else by chance")
    parser.add_argument("--producers", type=int, default=3)
    parser.add_argument("--consumers", type=int, default=5)
    parser.add_argument("--visitors", type=int, default=None, help="that come and go (Kafka: 1)")
    parser.add_argument("--rate", type=float, default=450.0, help="events a second (450)")
    parser.add_argument("--work", type=float, default=0.005, help="seconds a handler takes (0.005)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between faults (4)")
    parser.add_argument("--poison", type=float, default=0.00001, help="share of events that kill")
    parser.add_argument("--keep", type=Path, help="a folder for the journals; else kept on failure")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    # Who looks at the offsets says itself when nobody answers.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    given = arguments(argv)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    options = Options(
        seconds=given.minutes * 60,
        seed=seed,
        producers=given.producers,
        consumers=given.consumers,
        rate=given.rate,
        work=given.work,
        every=given.every,
        poison=given.poison,
        visitors=int(is_kafka(given.url)) if given.visitors is None else given.visitors,
    )
    out = Console(no_color=not sys.stdout.isatty())
    folder = given.keep or Path(tempfile.mkdtemp(prefix="busway-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.journal")):
        out.print(f"chaos: {folder} holds the journals of another run", style="red")
        return 2
    try:
        with ExitStack() as stack:
            broker = _broker(given, stack)
            # A URL that was given may hold a password.
            where = urlsplit(broker.url).netloc.rpartition("@")[2]
            out.print(f"chaos: seed {seed}, {given.minutes:g} minutes, {where}", highlight=False)
            outcome = asyncio.run(Run(broker, folder, options, out.print).carry_out())
    except NoServer as error:
        out.print(f"chaos: nothing was tested: {error}", style="red", highlight=False)
        return 1
    print_report(out, outcome, options, folder)
    return _end(out, outcome, folder, bool(given.keep))


def _broker(given: argparse.Namespace, stack: ExitStack) -> Broker:
    """Raises NoServer."""
    if given.url in ("", "redis"):
        server = stack.enter_context(RedisServer(fsync="always", patience=60.0))
        return OwnRedis(server, given.query or QUERY)
    if given.url == "kafka":
        ways = given.consumers + given.producers + 2
        cluster = stack.enter_context(KafkaCluster(ways=ways))
        return OwnKafka(cluster, given.query or KAFKA_QUERY)
    return Given(given.url)


def _end(out: Console, outcome: Outcome, folder: Path, keep: bool) -> int:
    if outcome.verdict.violations or keep:
        out.print(f"the journals are in {folder}", highlight=False)
    else:
        shutil.rmtree(folder)
    return 1 if outcome.verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
