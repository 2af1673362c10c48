"""What all processes under one prefix have to agree on: the first that starts records it.

The meta topic has one partition, so what is written to it has one order, and of two processes that
say something of the same pattern the first in it is right. Each record has a key of its own and is
kept by compaction; who was not first, or is not to be, takes its own back.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from busway import OptionError, TransportError
from busway.transport import Written

from ._batch import Entry
from ._client import Client
from ._names import Names
from ._producing import Producer
from ._reading import read_to_the_end

__all__ = ["Charting"]

_CHART: Final = b"chart "


class _Claim(NamedTuple):
    """A record that lives."""

    key: bytes
    pattern: str
    channel: str


class Charting:
    """The charts under one prefix, seen from one transport. The meta topic is there."""

    def __init__(self, client: Client, names: Names, producer: Producer) -> None:
        self._client = client
        self._names = names
        self._producer = producer
        self._lock = asyncio.Lock()

    async def chart(self, channels: Mapping[str, str]) -> dict[str, str]:
        """Record channels by pattern; all that are recorded. Raises OptionError when others have
        another channel for one of the patterns, TransportError."""
        async with self._lock:
            said = await self._said()
            self._compare(channels, said)
            new = {p: channel for p, channel in channels.items() if p not in said}
            return await self._record(new) if new else _plain(said)

    async def _record(self, new: Mapping[str, str]) -> dict[str, str]:
        mine = [
            _Claim(_CHART + f"{pattern} {uuid.uuid4().hex}".encode(), pattern, channel)
            for pattern, channel in new.items()
        ]
        await self._write([(each.key, each.channel.encode()) for each in mine])
        said = await self._said()
        try:
            self._compare(new, said)
        except OptionError:
            await self._take_back(mine)
            raise
        # Another process said the same, and before: one record is enough.
        await self._take_back([each for each in mine if said[each.pattern] != each])
        return _plain(said)

    async def _said(self) -> dict[str, _Claim]:
        """By pattern, the first of the records that live."""
        # From the beginning each time: once when a bus starts, and it is as short as the config.
        records, _ = await read_to_the_end(self._client, (self._names.meta, 0))
        living: dict[bytes, _Claim] = {}
        for record in records:
            key: bytes = record.key or b""
            if record.value is None:
                living.pop(key, None)
            elif key.startswith(_CHART) and key not in living:
                pattern, _, _ = key.removeprefix(_CHART).decode(errors="replace").rpartition(" ")
                living[key] = _Claim(key, pattern, record.value.decode(errors="replace"))
        said: dict[str, _Claim] = {}
        for claim in living.values():
            said.setdefault(claim.pattern, claim)
        return said

    def _compare(self, channels: Mapping[str, str], said: Mapping[str, _Claim]) -> None:
        """Raises OptionError."""
        for pattern, channel in channels.items():
            there = said.get(pattern)
            if there is not None and there.channel != channel:
                raise OptionError(
                    f"channels={{{pattern!r}: {channel!r}}} here, and {there.channel!r} in the "
                    f"processes that started before under the prefix {self._names.prefix!r}: one "
                    "would publish where the other does not listen. Give every process the same. "
                    "To change it, let every group handle what there is, stop all processes, and "
                    f"remove the record: printf '%s\\t' '{there.key.decode()}' | "
                    f"kcat -P -Z -K '\\t' -t {self._names.meta} -b …"
                )

    async def _take_back(self, claims: Sequence[_Claim]) -> None:
        if claims:
            await self._write([(claim.key, None) for claim in claims])

    async def _write(self, pairs: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Raises TransportError."""
        headers: list[Any] = []
        entries = [Entry(self._names.meta, 0, key, value, headers) for key, value in pairs]
        until = time.monotonic() + self._client.timeout
        for outcome in await self._producer.write(entries, until):
            if not isinstance(outcome, Written):
                raise TransportError(
                    f"where topics lie was not recorded: {outcome.error}"
                ) from outcome.error


def _plain(said: Mapping[str, _Claim]) -> dict[str, str]:
    return {pattern: claim.channel for pattern, claim in said.items()}
