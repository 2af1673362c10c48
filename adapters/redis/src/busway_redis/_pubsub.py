"""``redis+pubsub://``: events for whoever listens now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import anyio

from busway import BuswayError, Envelope, MissingPower, OptionError, TransportError
from busway.transport import WRITTEN, Group, NotWritten, Outcome, Outgoing, Purpose, Unknown

from ._answers import unheard
from ._client import Given, options_of
from ._dial import Bare, Dial, Dialer
from ._errors import NotSent, Unanswered
from ._keys import Keys
from ._live_feed import LiveFeed
from ._live_names import LiveNames
from ._options import Options
from ._place import place_of
from ._sentinel import master_dial
from ._topology import Topology, running_loop, topology_of
from ._url import options_from_url

__all__ = ["PubSubTransport", "open_pubsub"]


class PubSubTransport:
    """The live bus between processes, on Redis's PUBLISH and SUBSCRIBE: at most once.

    Every process that listens gets every event that is published while it does; nothing is stored
    for anybody. It runs on asyncio, with one connection for each group of a process and one for
    publishing. Every call but ``receive`` ends within ``options.timeout`` seconds. Powers: Live,
    Located, Reports; its feeds Follows.

    ``given`` is a URL, ``Options``, or a client of redis-py that was configured in code, whose
    connections are made anew. ``prefix``, ``timeout`` (seconds) and ``buffer`` (events that wait in
    this process for a slow group, and no more than 64 MiB of them) may be given beside it. Raises
    OptionError.
    """

    live: Literal[True] = True

    def __init__(self, given: Given, /, **own: Any) -> None:
        options = self.options = options_of(given, pubsub=True, **own)
        if not options.pubsub:
            raise OptionError(f"{options.where} stores events: pub/sub is redis+pubsub://")
        if options.database:
            raise OptionError(
                f"database {options.database}: pub/sub has no databases. Use prefix= to tell two "
                "buses on one server apart"
            )
        self.names = LiveNames(options.prefix)
        self._topology: Topology = topology_of(options)
        self._dial = _dial_of(options)
        self._users = 0
        self._opening = anyio.Lock()
        self.feeds: set[LiveFeed] = set()
        """Open in this process."""
        self._missed = 0
        self._gaps = 0

    def __repr__(self) -> str:
        return f"<PubSubTransport {self.options.where}>"

    def report(self) -> dict[str, int]:
        """See ``Reports``. ``missed``: events that this process heard and dropped because a group
        was too slow. ``gaps``: how often a group heard nothing, because its connection broke.
        ``waiting``: events that are heard and not handed out, now."""
        return {
            "gaps": self._gaps + sum(feed.hearing.gaps for feed in self.feeds),
            "missed": self._missed + sum(feed.missed for feed in self.feeds),
            "waiting": sum(feed.waiting for feed in self.feeds),
        }

    async def __aenter__(self) -> PubSubTransport:
        async with self._opening:
            if self._users == 0:
                running_loop()
                await self._topology.open()
            self._users += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._users -= 1
        if self._users == 0:
            with anyio.CancelScope(shield=True), anyio.move_on_after(self.options.timeout):
                await self._topology.close()

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[LiveFeed]:
        return self._listen(group)

    @asynccontextmanager
    async def _listen(self, group: Group) -> AsyncGenerator[LiveFeed]:
        options = self.options
        feed = LiveFeed(
            self._dial, self.names, group, timeout=options.timeout, buffer=options.buffer
        )
        try:
            await feed.open()
            self.feeds.add(feed)
            yield feed
        finally:
            self.feeds.discard(feed)
            self._missed += feed.missed
            self._gaps += feed.hearing.gaps
            with anyio.CancelScope(shield=True), anyio.move_on_after(options.timeout):
                await feed.hearing.close()

    async def location(self) -> str:
        """See ``Located``. The mark is the one thing that is stored, and only when it is asked
        for."""
        return f"{await place_of(self._topology, Keys(self.options.prefix))}/live"

    async def call(self, name: str, *command: str | bytes | int) -> Any:
        """A command of your own to the server that the channel's events are published at."""
        return await self._topology.call(name, *command)

    # --- sending ----------------------------------------------------------------------------------

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        begun: list[asyncio.Future[Any] | NotWritten] = []
        encoded = [self._encoded(item) for item in items]
        for item, data in zip(items, encoded, strict=True):
            if isinstance(data, NotWritten):
                begun.append(data)
            else:
                name = self._name(item)
                begun.append(self._topology.begin(name, "PUBLISH", name, data))
        futures = [each for each in begun if isinstance(each, asyncio.Future)]
        timer = asyncio.get_running_loop().call_later(timeout, self._give_up, futures, timeout)
        try:
            return [
                each if isinstance(each, NotWritten) else await self._outcome(item, each)
                for item, each in zip(items, begun, strict=True)
            ]
        finally:
            timer.cancel()
            for future in futures:
                unheard(future)

    def _encoded(self, item: Outgoing) -> bytes | NotWritten:
        purpose = item.address.purpose
        if purpose in (Purpose.RETRY, Purpose.DEAD):
            return NotWritten(MissingPower(f"{self!r} keeps no events for a {purpose.value}"))
        if item.due is not None and item.due > time.time():
            return NotWritten(MissingPower(f"{self!r} holds no events (power: Holds)"))
        content = item.content
        if not isinstance(content, Envelope):
            return content.data
        try:
            return item.encoder.encode(content)
        except BuswayError as error:
            return NotWritten(error)

    def _name(self, item: Outgoing) -> str:
        address = item.address
        if address.purpose is Purpose.REPLY:
            return self.names.replies(address.group or "")
        return self.names.events(address.channel)

    async def _outcome(self, item: Outgoing, future: asyncio.Future[Any]) -> Outcome:
        try:
            listening = await future
        except Unanswered as error:
            return Unknown(error)
        except TransportError as error:
            return NotWritten(error)
        # A node of a cluster counts its own listeners only.
        alone = self.options.topology != "cluster"
        if item.address.purpose is Purpose.REPLY and listening == 0 and alone:
            gone = f"group {item.address.group!r} does not wait for replies any more"
            return NotWritten(TransportError(gone, retryable=False))
        return WRITTEN

    def _give_up(self, futures: Sequence[asyncio.Future[Any]], timeout: float) -> None:
        for future in futures:
            self._topology.give_up(future, timeout)


def open_pubsub(url: str) -> PubSubTransport:
    """The transport for a URL, not connected yet. Raises OptionError."""
    return PubSubTransport(options_from_url(url))


def _dial_of(options: Options) -> Dial:
    """To a server at which everything that is published can be heard."""
    dialer = Dialer(options)
    if options.path is not None:
        return dialer.to_socket(options.path)
    if options.topology == "sentinel":
        return master_dial(dialer, options)
    nodes = list(options.nodes)

    async def connect() -> Bare:
        """Every node of a cluster tells what is published at any."""
        failures: list[NotSent] = []
        for node in nodes[:]:
            try:
                return await dialer.to(node)()
            except NotSent as error:
                failures.append(error)
                nodes.append(nodes.pop(0))
        raise failures[0] if len(failures) == 1 else NotSent("; ".join(map(str, failures)))

    return connect
