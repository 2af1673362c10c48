"""Reading an address without a group and without effect: dead letters, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from busway.transport import Address, Browsed, Purpose

from ._answers import answers
from ._keys import Keys
from ._options import Options
from ._source import BELL
from ._topology import Topology
from ._wire import entry

__all__ = ["Browsing"]

_AT_ONCE = 100


class Browsing:
    """The streams under one prefix, as pages.

    A position is the entry's id with leading zeros, so that positions sort as text, and the shard
    it lies in.
    """

    def __init__(self, topology: Topology, keys: Keys, options: Options) -> None:
        self._topology = topology
        self._keys = keys
        self._timeout = options.timeout

    async def addresses(self, purpose: Purpose, group: str | None) -> list[Address]:
        key = self._keys.channels if group is None else self._keys.joined(group)
        names = await self._call(key, "SMEMBERS", key)
        found = [Address(name.decode(), purpose, group) for name in sorted(names)]
        begun = [
            [
                self._topology.begin(self._keys.of(address, shard), "EXISTS", key_of)
                for shard in range(self._keys.shards)
                for key_of in [self._keys.of(address, shard)]
            ]
            for address in found
        ]
        there = [any(await answers(each, self._timeout)) for each in begun]
        return [address for address, exists in zip(found, there, strict=True) if exists]

    async def browse(self, address: Address, after: str | None) -> AsyncIterator[Browsed]:
        first = [_id(after) if after is not None else None] * self._keys.shards
        after_shard = _shard(after) if after is not None else -1
        pages = [
            _Page(self, address, shard, first[shard], past=shard <= after_shard)
            for shard in range(self._keys.shards)
        ]
        while True:
            heads = [head for page in pages if (head := await page.head()) is not None]
            if not heads:
                return
            yield min(heads, key=lambda head: head[0].position)[1].take()

    async def discard(self, address: Address, position: str) -> bool:
        key = self._keys.of(address, _shard(position))
        return bool(await self._call(key, "XDEL", key, _id(position)))

    async def page(self, address: Address, shard: int, first: str) -> Sequence[Sequence[object]]:
        """Some entries, from an id on."""
        key = self._keys.of(address, shard)
        found: Sequence[Sequence[object]] = await self._call(
            key, "XRANGE", key, first, "+", "COUNT", _AT_ONCE
        )
        return found

    async def _call(self, key: str, *command: str | int) -> Any:
        return (await answers([self._topology.begin(key, *command)], self._timeout))[0]


class _Page:
    """One shard's entries, fetched as they are looked at."""

    def __init__(
        self, browsing: Browsing, address: Address, shard: int, after: str | None, *, past: bool
    ) -> None:
        self._browsing = browsing
        self._address = address
        self._shard = shard
        # Of two entries with one id the lower shard comes first: what is after the other shard's
        # entry may have its very id here.
        self._first = "-" if after is None else (f"({after}" if past else after)
        self._entries: list[Browsed] = []
        self._ended = False

    async def head(self) -> tuple[Browsed, _Page] | None:
        while not self._entries and not self._ended:
            found = await self._browsing.page(self._address, self._shard, self._first)
            self._ended = len(found) < _AT_ONCE
            for id, fields in found:
                assert isinstance(id, bytes)
                self._first = f"({id.decode()}"
                if fields[0] != BELL:  # type: ignore[index]
                    said = entry(fields)  # type: ignore[arg-type]
                    place = _position(id.decode(), self._shard)
                    self._entries.append(Browsed(place, said.content, said.story, said.attempt))
            self._entries.reverse()
        return (self._entries[-1], self) if self._entries else None

    def take(self) -> Browsed:
        return self._entries.pop()


def _position(id: str, shard: int) -> str:
    milliseconds, _, number = id.partition("-")
    return f"{int(milliseconds):020d}-{int(number):020d}-{shard:05d}"


def _id(position: str) -> str:
    milliseconds, number, _ = (int(part) for part in position.split("-"))
    return f"{milliseconds}-{number}"


def _shard(position: str) -> int:
    return int(position.rpartition("-")[2])
