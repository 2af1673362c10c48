"""The names of everything in Redis.

What belongs to one shard of a channel has one hash tag, so that on a cluster it lies in one slot
and can be changed in one atomic step.
"""

from __future__ import annotations

from zlib import crc32

from busway import OptionError
from busway.transport import Address, Purpose

__all__ = ["Keys", "is_events", "shard_of"]


def shard_of(key: str, shards: int) -> int:
    """The shard that a key's events are in, whoever asks: CRC-32 of its UTF-8, modulo."""
    return crc32(key.encode()) % shards


def is_events(key: str) -> bool:
    """Whether this is the name of a stream of events: what belongs to a group, or waits, has more
    behind the tag."""
    return key.find("}") == len(key) - 1


class Keys:
    """The names under one prefix, with one number of shards for every channel."""

    def __init__(self, prefix: str = "busway", shards: int = 1) -> None:
        if "{" in prefix or "}" in prefix:
            raise OptionError(f"prefix={prefix!r}: braces would change the slots of a cluster")
        self.prefix = prefix
        self.shards = shards
        self.channels = f"{prefix}:channels"
        """A set: every channel that somebody has published to."""
        self.config = f"{prefix}:config"
        """A hash: what all processes have to agree on."""
        self.groups = f"{prefix}:groups"
        """A hash: every group, and how it was begun."""
        self.trimming = f"{prefix}:trimming"
        """Who removes what was handled, for now."""
        self.absent = f"{prefix}:absent"
        """A hash: groups that end with their process, and since when it was not seen."""

    def tag(self, channel: str, shard: int = 0) -> str:
        """The part of a name that decides the slot."""
        return f"{{{channel}}}" if self.shards == 1 else f"{{{channel}#{shard}}}"

    def stream(self, channel: str, shard: int = 0) -> str:
        """Events."""
        return f"{self.prefix}:{self.tag(channel, shard)}"

    def later(self, channel: str, shard: int = 0) -> str:
        """A sorted set: events published with a delay, by the millisecond they are due."""
        return f"{self.stream(channel, shard)}:later"

    def retry(self, channel: str, group: str, shard: int = 0) -> str:
        """A stream: what a group tries again."""
        return f"{self.stream(channel, shard)}:retry:{group}"

    def delay(self, channel: str, group: str, shard: int = 0) -> str:
        """A sorted set: what a group tries again later."""
        return f"{self.stream(channel, shard)}:delay:{group}"

    def dead(self, channel: str, group: str, shard: int = 0) -> str:
        """A stream: what a group gave up on."""
        return f"{self.stream(channel, shard)}:dead:{group}"

    def passed(self, channel: str, group: str, shard: int) -> str:
        """A stream that all members read: what the owner of a shard has no handler for, and another
        member has."""
        return f"{self.stream(channel, shard)}:pass:{group}"

    def passing(self, channel: str, group: str, shard: int) -> str:
        """A sorted set: the same, before it is due."""
        return f"{self.stream(channel, shard)}:passing:{group}"

    def lease(self, channel: str, group: str, shard: int) -> str:
        """A string with an end: who of a group has this shard now."""
        return f"{self.stream(channel, shard)}:lease:{group}"

    def fence(self, channel: str, group: str, shard: int) -> str:
        """A number: the fence of who had this shard of a group last."""
        return f"{self.stream(channel, shard)}:fence:{group}"

    def reply(self, group: str) -> str:
        """A stream: answers to a group's requests."""
        return f"{self.prefix}:{{reply:{group}}}"

    def members(self, group: str) -> str:
        """A hash: the living members of a group, and their patterns."""
        return f"{self.prefix}:members:{group}"

    def sharing(self, group: str) -> str:
        """A hash: how many shards each member of a group has, and which it wishes for."""
        return f"{self.prefix}:sharing:{group}"

    def joined(self, group: str) -> str:
        """A set: the channels in which something may lie for this group alone."""
        return f"{self.prefix}:joined:{group}"

    def registries(self, group: str | None) -> tuple[str, ...]:
        """The sets that have to name a channel before somebody writes to it."""
        return (self.channels,) if group is None else (self.channels, self.joined(group))

    def of(self, address: Address, shard: int = 0, *, due: bool = False) -> str:
        """Where an item of this address is written."""
        channel, group = address.channel, address.group or ""
        if address.purpose is Purpose.EVENT:
            return self.later(channel, shard) if due else self.stream(channel, shard)
        if address.purpose is Purpose.RETRY:
            return self.delay(channel, group, shard) if due else self.retry(channel, group, shard)
        if address.purpose is Purpose.DEAD:
            return self.dead(channel, group, shard)
        return self.reply(group)
