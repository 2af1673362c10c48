"""BusBroker beside FastStream's own brokers, with the same handlers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from tests.bench.faststream import ends, overhead
from tests.bench.figures import Section
from tests.bench.measure import Settings
from tests.bench.redis.timing import bench_server
from tests.servers import KafkaServer, NoServer

__all__ = ["measure"]


def measure(settings: Settings) -> Iterable[Section]:
    section = overhead.table()
    overhead.measure(section, settings)
    yield section
    section = ends.ends()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with bench_server() as server:
            ends.redis(section, server, settings)
        if not settings.short:
            with KafkaServer() as broker:
                ends.kafka(section, broker, replace(settings, seconds=2 * settings.seconds))
    except NoServer as error:
        section.note += f" NOT MEASURED: {error}"
    yield section
