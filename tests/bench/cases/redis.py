"""Redis Streams, beside the raw client and FastStream: one table from one run."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from tests.bench.figures import Section
from tests.bench.measure import Settings
from tests.bench.redis.table import table
from tests.bench.redis.timing import bench_server
from tests.servers import NoServer

__all__ = ["measure"]

PARTS = ("consuming", "publishing", "latency", "channels", "grouping", "recovery", "memory")


def measure(settings: Settings) -> Iterable[Section]:
    section = table()
    try:
        with bench_server() as server:
            for part in PARTS:
                import_module(f"tests.bench.redis.{part}").measure(section, server, settings)
    except NoServer as error:
        section.note = f"Not measured: {error}"
    yield section
