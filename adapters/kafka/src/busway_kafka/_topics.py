"""Topics: those there are, and making those that are missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.protocol.admin import CreateTopicsRequest, DeleteTopicsRequest

from busway import OptionError, TransportError
from busway.transport import Address, Purpose

from ._client import Client
from ._errors import Refused
from ._names import Names
from ._options import Options

__all__ = ["Topics", "width_of_retries"]

_THERE_ALREADY = 36
_AGAIN = frozenset({7, 41})
_TOO_FEW = 38
# A broker may compact by default: of two events of one key the first would be gone.
_ALL = {"cleanup.policy": "delete"}
_FOR_EVER = {**_ALL, "retention.ms": "-1", "retention.bytes": "-1"}
_COMPACT = {"cleanup.policy": "compact"}
_ROOM = 131_072
"""Bytes that the story of an event may take beside it."""
_PAUSE = 0.05
_SHARED = 4
"""Partitions that a group's retries have at least."""


def width_of_retries(width: int) -> int:
    """Partitions of what a group tries again of a channel that has so many. Members with different
    handlers pass events on to one another over these: each needs one."""
    return max(width, _SHARED)


class Topics:
    """Of one transport. ``made`` is called when this process made one."""

    def __init__(
        self, client: Client, options: Options, names: Names, made: Callable[[], None]
    ) -> None:
        self._client = client
        self._options = options
        self._names = names
        self._made = made
        self._making: dict[str, asyncio.Task[None]] = {}
        self.closed = False

    async def ensure(self, address: Address, tier: str = "now") -> tuple[str, int]:
        """The name of a topic and how many partitions it has; made when it is not there.

        Raises OptionError when it may not be made, TransportError when it cannot be.
        """
        topic = self._names.topic(address, tier)
        width = self._client.partitions(topic)
        if not width:
            await self.ensure_named(topic, self._width(address), self._settings(address))
            width = self._client.partitions(topic)
        return topic, width

    async def ensure_meta(self) -> None:
        if not self._client.partitions(self._names.meta):
            await self.ensure_named(self._names.meta, 1, _COMPACT)

    def _width(self, address: Address) -> int:
        if address.purpose is Purpose.DEAD:
            return 1
        events = self._names.topic(Address(address.channel))
        width = self._client.partitions(events) or self._options.partitions
        return width_of_retries(width) if address.purpose is Purpose.RETRY else width

    def _settings(self, address: Address) -> dict[str, str]:
        room = {"max.message.bytes": str(self._options.max_size + _ROOM)}
        if address.purpose is Purpose.DEAD:
            return {**_COMPACT, **room}
        if address.purpose is Purpose.EVENT:
            kept = self._options.retention
            return _ALL if kept is None else {**_ALL, "retention.ms": str(int(kept * 1000))}
        return {**_FOR_EVER, **room}

    async def ensure_named(self, topic: str, width: int, settings: dict[str, str]) -> None:
        """Those who ask for the same at the same time wait for one answer."""
        if self.closed:
            raise _closed(topic)
        task = self._making.get(topic)
        if task is None:
            task = self._making[topic] = asyncio.create_task(self._make(topic, width, settings))
            task.add_done_callback(lambda done: self._made_or_not(topic, done))
        await asyncio.wait([task])  # whoever gives up leaves it to the others
        if task.cancelled():
            raise _closed(topic)
        await task

    def open(self) -> None:
        """There is a connection again."""
        self.closed = False

    async def close(self) -> None:
        """Make nothing more, until ``open``. Whoever waits for one is told so."""
        self.closed = True
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait for those that are being made now; whoever asked for them may have gone."""
        if self._making:
            await asyncio.wait(set(self._making.values()))

    def _made_or_not(self, topic: str, task: asyncio.Task[None]) -> None:
        self._making.pop(topic, None)
        if not task.cancelled():
            task.exception()  # whoever waited may have gone, and then nobody has to hear of it

    async def _make(self, topic: str, width: int, settings: dict[str, str]) -> None:
        await self._client.refresh()
        if self._client.partitions(topic):
            return
        if self._options.create == "never":
            raise OptionError(self._missing(topic, width, settings))
        until = time.monotonic() + self._client.timeout
        while True:
            code, why = await self._create(topic, width, settings)
            if code in (0, _THERE_ALREADY):
                break
            # Brokers that have just come up, or were not heard for a moment, take part in nothing.
            away = code == _TOO_FEW and "fenced" in why
            if not (away or code in _AGAIN) or time.monotonic() > until:
                raise Refused(code, f"making topic {topic!r}{f' ({why})' if why else ''}")
            await asyncio.sleep(_PAUSE)
            await self._client.refresh()
        await self._led(topic, until)
        self._made()

    def _missing(self, topic: str, width: int, settings: dict[str, str]) -> str:
        replicas = self._options.replication
        factor = "" if replicas is None else f" --replication-factor {replicas}"
        said = "".join(f" --config {name}={value}" for name, value in settings.items())
        return (
            f"topic {topic!r} is missing, and create=never. Make it: kafka-topics.sh "
            f"--bootstrap-server {','.join(self._options.servers)} --create --topic '{topic}' "
            f"--partitions {width}{factor}{said}"
        )

    async def _create(self, topic: str, width: int, settings: dict[str, str]) -> tuple[int, str]:
        """Kafka's number for what went wrong, and what it says of it."""
        replication = self._options.replication or -1
        # What aiokafka says it takes is not what it takes.
        wanted: Any = [(topic, width, replication, [], list(settings.items()))]
        request = CreateTopicsRequest(wanted, int(self._client.timeout * 1000), False)
        said = await self._client.ask(self._client.controller, request)
        ((_, code, why),) = said.topic_errors
        return code, why or ""

    async def _led(self, topic: str, until: float) -> None:
        """Wait until each partition has a leader, at most until then."""
        pause = 0.005
        while True:
            try:
                await self._client.refresh()
            except TransportError as error:
                # It is there; a connection that was closed meanwhile is no reason to say otherwise.
                if not error.retryable or time.monotonic() > until:
                    raise
            leaders = self._client.leaders.get(topic, {})
            if leaders and all(leader >= 0 for leader in leaders.values()):
                return
            if time.monotonic() > until:
                return
            await asyncio.sleep(pause)
            pause = min(0.1, pause * 2)

    async def remove(self, topics: Sequence[str]) -> None:
        """Delete topics; one that is not there is none. Raises TransportError."""
        if not topics:
            return
        request = DeleteTopicsRequest(list(topics), int(self._client.timeout * 1000))
        said = await self._client.ask(self._client.controller, request)
        for topic, code in said.topic_error_codes:
            if code not in (0, 3):
                raise Refused(code, f"deleting topic {topic!r}")

    async def remove_all(self) -> None:
        """Delete everything under the prefix."""
        await self._client.refresh()
        prefix = self._options.prefix
        await self.remove([topic for topic in self._client.leaders if topic.startswith(prefix)])


def _closed(topic: str) -> TransportError:
    return TransportError(f"topic {topic!r} was not made: the transport was closed")
