"""The dead-letter desk of one group."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import anyio
import msgspec

from ._letter import DeadLetter, letter
from ._runtime import Runtime
from .errors import MissingPower, OptionError, PublishError, PublishUnknown
from .message import Envelope
from .transport import (
    Address,
    Browses,
    Discards,
    Outgoing,
    Purpose,
    Raw,
    Story,
    Unknown,
    Written,
)

__all__ = ["DeadLetters", "Replayed"]

_Letters = list[DeadLetter]  # inside the class, ``list`` is the method

_LOOP = 3

T = TypeVar("T")


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did, or would have done."""

    replayed: tuple[str, ...]
    """The ids of the letters sent back to their group."""
    skipped: tuple[str, ...] = ()
    """Those left where they are: replayed three times before, or no envelope."""


class DeadLetters:
    """Reads, replays and discards the dead letters of one group.

    Filters: ``topic`` (exactly), ``kind`` (the exception's type), ``key``, ``since`` (last failed
    at or after; a datetime with a time zone), ``where`` (a function of the letter).
    """

    def __init__(self, runtime: Runtime, group: str) -> None:
        transport = runtime.transport
        if not isinstance(transport, Browses):
            raise MissingPower(
                f"the dead letters of group {group!r} cannot be read: {type(transport).__name__} "
                "lacks the power Browses"
            )
        self._runtime = runtime
        self._browses = transport
        self._group = group

    def __aiter__(self) -> AsyncIterator[DeadLetter]:
        return self._all()

    async def _all(self) -> AsyncIterator[DeadLetter]:
        for address in await self._browses.addresses(Purpose.DEAD, self._group):
            channel = address.channel
            async with _ending(self._browses.browse(address)) as entries:
                async for entry in entries:
                    story = entry.story or Story(self._group)
                    yield letter(f"{channel}/{entry.position}", channel, entry.content, story)

    async def list(
        self,
        *,
        topic: str | None = None,
        kind: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
        where: Callable[[DeadLetter], bool] | None = None,
        limit: int | None = None,
    ) -> _Letters:
        """The letters that pass every filter given, oldest first, at most ``limit``."""
        if since is not None and since.utcoffset() is None:
            raise OptionError(f"since={since!r} has no time zone")
        found: _Letters = []
        async with _ending(self._all()) as letters:
            async for dead in letters:
                if limit is not None and len(found) >= limit:
                    break
                if (
                    (topic is None or dead.topic == topic)
                    and (kind is None or dead.kind == kind)
                    and (key is None or dead.key == key)
                    and (since is None or (dead.last_failed or 0.0) >= since.timestamp())
                    and (where is None or where(dead))
                ):
                    found.append(dead)
        return found

    async def get(self, id: str) -> DeadLetter | None:
        """One letter by its id; None when it is not there."""
        async with _ending(self._all()) as letters:
            async for dead in letters:
                if dead.id == id:
                    return dead
        return None

    async def replay(
        self,
        *ids: str,
        edit: Callable[[Envelope], Envelope] | None = None,
        dry_run: bool = False,
        rate: float | None = None,
        force: bool = False,
        **filters: Any,
    ) -> Replayed:
        """Send letters back to the group that failed, and to no other; attempts start again.

        Those with these ids, else all that pass the filters of ``list``. ``edit`` may return a
        changed copy of the envelope. ``rate`` is in letters per second. A letter replayed three
        times before is left, unless it is named by id or ``force`` is set. A letter is removed only
        after it was sent: interrupted, it may be there still and be replayed twice.

        Raises PublishError or PublishUnknown when one cannot be sent; those before it were. Bytes
        that are no envelope are never replayed.
        """
        if rate is not None and not rate > 0:
            raise OptionError(f"rate={rate!r}: it takes more than 0 letters per second")
        discards = self._discards()
        letters = await self._chosen(ids, filters)
        replayed: list[str] = []
        skipped: list[str] = []
        for dead in letters:
            looping = dead.replays >= _LOOP and not (force or ids)
            if looping or isinstance(dead.content, Raw):
                skipped.append(dead.id)
                self._say_skipped(dead)
                continue
            if not dry_run:
                await self._replay(dead, edit, discards)
                if rate is not None:
                    await anyio.sleep(1 / rate)
            replayed.append(dead.id)
        return Replayed(tuple(replayed), tuple(skipped))

    async def discard(self, *ids: str, **filters: Any) -> int:
        """Remove letters for good: those with these ids, or all that pass the filters of ``list``
        (at least one has to be given). How many were removed."""
        if not ids and not filters:
            raise OptionError("discard() would remove every letter: give ids or a filter")
        discards = self._discards()
        removed = 0
        for dead in await self._chosen(ids, filters):
            removed += await discards.discard(self._address(dead), _position(dead))
        return removed

    async def _chosen(self, ids: tuple[str, ...], filters: dict[str, Any]) -> _Letters:
        if not ids:
            return await self.list(**filters)
        wanted = set(ids)
        return [dead for dead in await self.list(**filters) if dead.id in wanted]

    async def _replay(
        self, dead: DeadLetter, edit: Callable[[Envelope], Envelope] | None, discards: Discards
    ) -> None:
        content = dead.content
        assert isinstance(content, Envelope)
        if edit is not None:
            content = edit(content)
            if not isinstance(content, Envelope):
                raise OptionError(f"edit returned {content!r} for letter {dead.id}: no envelope")
        story = Story(self._group, dead.handler, replays=dead.replays + 1)
        address = Address(dead.channel, Purpose.RETRY, self._group)
        runtime = self._runtime
        item = Outgoing(content, address, runtime.resender, 1, None, story, waits=False)
        (outcome,) = await runtime.transport.send([item], timeout=runtime.timeout)
        if isinstance(outcome, Unknown):
            raise PublishUnknown(f"letter {dead.id}: {outcome.error}") from outcome.error
        if not isinstance(outcome, Written):
            raise PublishError(f"letter {dead.id}: {outcome.error}") from outcome.error
        # Last: a crash before this line costs a second replay, never the letter.
        await discards.discard(self._address(dead), _position(dead))

    def _discards(self) -> Discards:
        transport = self._runtime.transport
        if not isinstance(transport, Discards):
            raise MissingPower(
                f"dead letters cannot be removed: {type(transport).__name__} lacks the power "
                "Discards"
            )
        return transport

    def _address(self, dead: DeadLetter) -> Address:
        return Address(dead.channel, Purpose.DEAD, self._group)

    def _say_skipped(self, dead: DeadLetter) -> None:
        why = (
            "it is no envelope"
            if isinstance(dead.content, Raw)
            else f"it was replayed {dead.replays} times before and failed again each time"
        )
        self._runtime.log.warning(
            "dead letter %s of group %r is not replayed: %s", dead.id, self._group, why
        )


@asynccontextmanager
async def _ending(entries: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """An iterator that is left half-way must be closed here, or the event loop complains later."""
    try:
        yield entries
    finally:
        close = getattr(entries, "aclose", None)
        if close is not None:
            await close()


def _position(dead: DeadLetter) -> str:
    return dead.id.rpartition("/")[2]
