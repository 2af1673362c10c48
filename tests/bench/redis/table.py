"""The one table of the Redis case."""

from __future__ import annotations

from tests.bench.brokers import table as tables
from tests.bench.figures import Section

__all__ = ["table"]

NOTE = (
    "All on one redis-server on the loopback interface, its append-only file written "
    "every second, emptied before each run; an event's data is 256 bytes of JSON. The raw loop "
    "reads bytes, counts them and acknowledges: it decodes nothing and calls no handler; the raw "
    "publishers send bytes made beforehand. Everybody else encodes and decodes. A run that loses "
    "an event does not end."
)


def table() -> Section:
    return tables.table("Redis Streams", NOTE)
