"""Sending: everything is encoded, then written in one turn, and each item hears its own answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from busway import BuswayError, Envelope, TransportError
from busway.transport import WRITTEN, NotWritten, Outcome, Outgoing, Purpose, Unknown

from ._answers import Deadlines, answers, unheard
from ._errors import Unanswered
from ._keys import Keys, shard_of
from ._link import Argument
from ._moving import delayed, is_due
from ._options import Options
from ._wire import fields_of

__all__ = ["Sender", "Writes"]

_KEPT = 100_000
_AT_ONCE = 128
"""Encoded and written together, of many."""
_EVENT = Purpose.EVENT


class Writes(Protocol):
    """What commands that write go through: see ``Topology``."""

    @property
    def one_slot(self) -> bool: ...

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]: ...

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None: ...


class Sender:
    """Writes items where their addresses say."""

    def __init__(self, topology: Writes, keys: Keys, options: Options) -> None:
        self._topology = topology
        self._keys = keys
        self._options = options
        self._known: set[tuple[str, str | None]] = set()
        """Channels, and channels of groups, that are in the registry."""
        self._streams: dict[str, str] = {}
        """The keys of channels with one shard."""
        self._deadlines = Deadlines(lambda future, after: topology.give_up(future, after))

    def forget(self) -> None:
        """The registry may have lost what it was told."""
        self._known.clear()
        self._streams.clear()

    def tell_anew(self, items: Sequence[Outgoing]) -> None:
        """Who answers now may not have been told; these were sent to it."""
        self.forget()
        for future in self._register(items):
            unheard(future)

    async def send(self, items: Sequence[Outgoing], timeout: float) -> Sequence[Outcome]:
        if len(items) == 1 and (items[0].address.channel, items[0].address.group) in self._known:
            return (await self._send_one(items[0], timeout),)
        return await self._send_all(items, timeout)

    async def _send_one(self, item: Outgoing, timeout: float) -> Outcome:
        """The same as ``_send_all``, for what is sent most."""
        try:
            key, command = self._command(item)
        except BuswayError as error:
            return NotWritten(error)
        future = self._topology.begin(key, *command)
        self._deadlines.watch(future, timeout)
        try:
            return await self._outcome(item, future)
        except BaseException:
            unheard(future)
            raise

    async def _send_all(self, items: Sequence[Outgoing], timeout: float) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        registered = self._register(items)
        if registered and self._topology.one_slot:
            # On a cluster nothing else says that the registry is told before the channel has it.
            try:
                await answers(registered, timeout)
            except TransportError as error:
                return [NotWritten(error)] * len(items)
        begun: list[asyncio.Future[Any] | NotWritten] = []
        timer = loop.call_at(until, self._give_up, begun, timeout)
        try:
            for start in range(0, len(items), _AT_ONCE):
                if start:
                    # What was begun is written, and the server busy with it, while more is encoded.
                    await asyncio.sleep(0)
                begun += map(self._begun, items[start : start + _AT_ONCE])
            if loop.time() >= until:
                self._give_up(begun, timeout)  # the timer knew only what was begun before it
            return [
                each if isinstance(each, NotWritten) else await self._outcome(item, each)
                for item, each in zip(items, begun, strict=True)
            ]
        except BaseException:
            self._give_up(begun, timeout)  # cancelled: what was not sent by now is not sent later
            for each in begun:
                if not isinstance(each, NotWritten):
                    unheard(each)
            raise
        finally:
            timer.cancel()
            for future in registered:
                unheard(future)

    def _begun(self, item: Outgoing) -> asyncio.Future[Any] | NotWritten:
        try:
            key, command = self._command(item)
        except BuswayError as error:
            return NotWritten(error)
        return self._topology.begin(key, *command)

    async def _outcome(self, item: Outgoing, future: asyncio.Future[Any]) -> Outcome:
        try:
            answer = await future
        except Unanswered as error:
            return Unknown(error)
        except TransportError as error:
            return NotWritten(error)
        if answer is None:
            gone = f"group {item.address.group!r} does not wait for replies any more"
            return NotWritten(TransportError(gone, retryable=False))
        return WRITTEN

    def _give_up(self, begun: Sequence[asyncio.Future[Any] | NotWritten], timeout: float) -> None:
        for each in begun:
            if not isinstance(each, NotWritten):
                self._topology.give_up(each, timeout)

    def _command(self, item: Outgoing) -> tuple[str, tuple[Argument, ...]]:
        """The key and the command; raises what the encoder raises."""
        keys, address, content = self._keys, item.address, item.content
        if item.due is None and item.attempt == 1 and item.story is None:
            key = self._streams.get(address.channel)
            if key is not None and address.purpose is _EVENT and type(content) is Envelope:
                return key, ("XADD", key, "*", b"event", item.encoder.encode(content))
        shard = self._shard(item) if keys.shards > 1 else 0
        if address.purpose is not Purpose.DEAD and not is_due(item):
            key = keys.of(address, shard, due=True)
            return key, ("ZADD", key, *delayed(item))
        key = keys.of(address, shard)
        if address.purpose is Purpose.REPLY:
            return key, ("XADD", key, "NOMKSTREAM", "*", *fields_of(item))
        return key, ("XADD", key, "*", *fields_of(item))

    def _shard(self, item: Outgoing) -> int:
        content = item.content
        if isinstance(content, Envelope) and content.subject is not None:
            return shard_of(content.subject, self._keys.shards)
        return random.randrange(self._keys.shards)

    def _register(self, items: Sequence[Outgoing]) -> list[asyncio.Future[Any]]:
        """Tell the registry of channels it may not know, before anything is written to them."""
        begun: list[asyncio.Future[Any]] = []
        sent_to = [item.address for item in items if item.address.purpose is not Purpose.REPLY]
        for name in dict.fromkeys((address.channel, address.group) for address in sent_to):
            if name in self._known:
                continue
            channel, group = name
            telling = [
                self._topology.begin(key, "SADD", key, channel)
                for key in self._keys.registries(group)
            ]
            for each in telling:
                each.add_done_callback(partial(self._told, name, telling))
            begun += telling
        return begun

    def _told(
        self,
        name: tuple[str, str | None],
        telling: Sequence[asyncio.Future[Any]],
        _: asyncio.Future[Any],
    ) -> None:
        if not all(each.done() and not each.cancelled() for each in telling):
            return
        if any(each.exception() is not None for each in telling):
            return  # told again with the next
        if len(self._known) >= _KEPT:
            self.forget()
        self._known.add(name)
        if self._keys.shards == 1:
            self._streams[name[0]] = self._keys.stream(name[0])
