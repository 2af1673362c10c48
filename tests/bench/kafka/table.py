"""The one table of the Kafka case."""

from __future__ import annotations

from tests.bench.brokers import table as tables
from tests.bench.figures import Section

__all__ = ["table"]

NOTE = (
    "All on one broker on the loopback interface, which shares the machine's cores, each run in an "
    "empty topic of 4 partitions; an event's data is 256 bytes of JSON, and it has one of 1,000 "
    "keys. aiokafka is idempotent and awaits all replicas, with everything else as it comes; the "
    "raw loop is getmany(max_records=500) that decodes with msgspec the envelopes that Busway "
    "wrote, calls no handler, and commits every 100 ms. Raw publishers send bytes made beforehand, "
    "without an envelope, which are half as long; where documents are named, they make and encode "
    "the envelopes that Busway writes. FastStream commits before it calls its handler (ACK_FIRST), "
    "but in batches. Busway keeps the order of keys, and commits watermarks. A run that loses an "
    "event does not end."
)


def table() -> Section:
    return tables.table("Kafka", NOTE)
