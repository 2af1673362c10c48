"""Entries that lie at an address until somebody reads or removes them: dead letters, history."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..transport import Address, Browsed, Outgoing

__all__ = ["Shelf"]

_log = logging.getLogger("busway.memory")


class Shelf:
    """Dead letters by address, at most so many for each; the oldest makes room for the newest."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: dict[Address, dict[str, Browsed]] = {}
        self._written = 0

    def put(self, item: Outgoing) -> None:
        self._written += 1
        position = f"{self._written:016d}"
        entries = self._entries.setdefault(item.address, {})
        entries[position] = Browsed(position, item.content, item.story, item.attempt)
        if len(entries) > self._bound:
            oldest = next(iter(entries))
            del entries[oldest]
            # Memory is bounded by promise; what that costs is said aloud each time.
            _log.error(
                "dead letter %s of group %r dropped: memory:// keeps %d (raise ?dead=)",
                oldest,
                item.address.group,
                self._bound,
            )

    def read(self, address: Address, after: str | None) -> Iterator[Browsed]:
        for entry in list(self._entries.get(address, {}).values()):
            if after is None or entry.position > after:
                yield entry

    def remove(self, address: Address, position: str) -> bool:
        return self._entries.get(address, {}).pop(position, None) is not None

    def count(self, group: str) -> int:
        return sum(
            len(entries) for address, entries in self._entries.items() if address.group == group
        )

    def forget(self, group: str) -> None:
        for address in [a for a in self._entries if a.group == group]:
            del self._entries[address]

    def addresses(self) -> list[Address]:
        return [address for address, entries in self._entries.items() if entries]
