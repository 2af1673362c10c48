"""librdkafka's mock broker: the last resort where no Kafka can be had.

It runs inside of this process. It knows topics, records, groups and offsets; it makes no topic when
it is asked to, describes and lists no groups, and removes nothing. So only ``?create=never`` works
on it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import Producer

__all__ = ["MockKafka"]


class MockKafka:
    """One, for a block. ``topics`` are there; each has four partitions."""

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.url = ""

    def __enter__(self) -> Self:
        settings = {"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", "log_level": 0}
        self._owner = Producer(settings)
        (broker,) = self._owner.list_topics(timeout=10).brokers.values()
        self.url = f"kafka://{broker.host}:{broker.port}/"
        for topic in self.topics:
            # Asking for it makes it, as it does where brokers make topics by themselves.
            self._owner.list_topics(topic, timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        del self._owner
