"""What one member of a group receives."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec

from busway import OptionError, TransportError
from busway.transport import Address, Delivery, Group, Purpose

from ._catalogue import Catalogue
from ._client import Client
from ._committing import Committer
from ._deferring import Deferring, Early
from ._fetching import Fetcher
from ._foreign import reader
from ._holdings import Holdings
from ._lending import Lending
from ._membership import Membership
from ._names import Names
from ._options import Options
from ._tenure import Tenure
from ._tiers import SOONEST
from ._watchdog import Watchdog

__all__ = ["KafkaFeed"]

_TO_COMMIT = 0.7
"""Of the time that leaving may take; the rest is for the goodbye."""

_log = logging.getLogger("busway.kafka")

_numbers = itertools.count(1)


class KafkaFeed:
    """One member's share of a group. Power: Follows."""

    dead = False

    def __init__(
        self,
        client: Client,
        options: Options,
        names: Names,
        group: Group,
        send: Callable[[Sequence[Early]], Awaitable[Sequence[object]]],
        ensure: Callable[[Address, str], Awaitable[object]],
    ) -> None:
        self.group = self._wanted = group
        self._widening = anyio.Lock()
        self.options = options
        self.client = client
        self._names = names
        self.catalogue = Catalogue(client, options, names, group)
        self.holdings = Holdings(client, options, names, self.catalogue, self._changed)
        name = self.catalogue.kafka_id
        self._lanes = [f"{work} {next(_numbers)}" for work in ("group", "fetch")]
        member = Membership(client, options, self.catalogue, self._lanes[0], self.holdings)
        self.membership = member
        self.committer = Committer(client, name, lambda: member.who, member.expelled)
        self.holdings.committer = self.committer
        self.holdings.join_again = self.membership.join_again
        self._ensure = ensure
        self._defer = Deferring(send, self.committer.commit, durable=group.durable)
        self.watchdog = Watchdog(group.name, self._begin_again, self._beyond_repair)
        self._tasks: list[asyncio.Task[None]] = []
        self._hopeless: set[str] = set()
        """Channels that no topic can be made for to try again from."""
        self._nudged = asyncio.Event()
        self._work()

    def _work(self) -> None:
        """Who fetches, and who hands out what was fetched."""
        lending = self._lending = Lending(
            self.holdings,
            self._defer.put_off,
            reader(self.options.decoder),
            lambda: self.fetcher.look(),
            lambda: self.membership.alive_until,
        )
        told = lending.look_again, lending.broken
        self.fetcher = Fetcher(self.client, self.options, self._lanes[1], self._tenures, *told)

    # --- its life

    async def open(self) -> None:
        """Begin to join. Raises TransportError within the deadline when there is nobody.

        It waits to be given something, and no longer than that deadline: whoever was killed is one
        of the group until its lease is over, and nobody is given anything before.
        """
        deadline = anyio.current_time() + self.options.timeout
        await self._find()
        keep = self.watchdog.keep
        self._tasks = [
            keep("membership", self.membership.run),
            keep("fetcher", self.fetcher.run),
            keep("watch over topics", self._watch),
            keep("putting off", self._defer.run),
        ]
        with anyio.CancelScope(deadline=deadline):
            await self.membership.joined.wait()

    async def _find(self) -> None:
        try:
            with anyio.fail_after(self.options.timeout):
                await self.client.refresh()
                self.catalogue.look()
                await self.client.coordinator(self.catalogue.kafka_id)
                await self.catalogue.find_start()
        except TimeoutError:
            raise TransportError(f"{self.options.where}: no answer in time") from None

    async def close(self) -> None:
        """Leave. It raises nothing, and ends in time."""
        with anyio.CancelScope(shield=True):
            if not self.dead:
                with anyio.move_on_after(self.options.timeout * _TO_COMMIT):
                    await self.holdings.close()
                with anyio.move_on_after(self.options.timeout * (1 - _TO_COMMIT)):
                    await self._stop()
                    await self.membership.leave()
            await self.die()

    async def _stop(self) -> None:
        """Do nothing more by itself."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def die(self) -> None:
        """Be gone without a word, as if the process had been killed."""
        self.dead = True
        await self._stop()
        self.membership.die()
        await self.committer.close()
        self.holdings.expelled()
        for lane in self._lanes:
            self.client.close_lane(lane)

    def _begin_again(self) -> None:
        """As if others had had all of it: what was half done is found by what was committed."""
        self._defer.forget()
        self.holdings.expelled()
        self.membership.join_again()

    def _beyond_repair(self, error: BaseException) -> None:
        """The bus shall hear of it."""
        self._lending.mistake = error
        self._lending.look_again()

    async def _watch(self) -> None:
        """See what topics there are, now and again, and when somebody says so."""
        self._nudged.set()
        while True:
            try:
                async with asyncio.timeout(self.options.metadata_age):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                await self.client.refresh()
                await self._widen()
                await self._look()
                await self._prepare()
                # Who is not let in has nothing to read, and would hear of nothing.
                self._lending.broken(self.membership.problem, "group")
            except TransportError as error:
                self._lending.broken(error, "group")

    async def _prepare(self) -> None:
        """What fails first must not wait until there is a topic to try it again from."""
        if not self.catalogue.has_retries:
            return
        for channel in self.catalogue.known:
            if channel in self._hopeless:
                continue
            try:
                await self._ensure(Address(channel, Purpose.RETRY, self.group.name), SOONEST)
            except OptionError as error:
                # Somebody made a topic of such a name: the others go on.
                self._hopeless.add(channel)
                _log.error(
                    "group %r: what fails of channel %r cannot be tried again: %s",
                    self.group.name, channel, error,
                )  # fmt: skip

    async def _look(self) -> None:
        if self.catalogue.look():
            self.membership.join_again()
        elif self.membership.generation >= 0:
            await self.holdings.open()
        self.fetcher.look_at_once()

    def nudge(self) -> None:
        """There is another topic."""
        self._nudged.set()

    async def follow(self, group: Group, /) -> None:
        # Where a group begins is settled when it begins.
        self._wanted = msgspec.structs.replace(group, start=self.group.start)
        await self.client.refresh()
        await self._widen()

    async def _widen(self) -> None:
        """Follow what was asked for last; whoever looks next tries again what fails here."""
        async with self._widening:
            wanted = self._wanted
            if wanted is self.group:
                return
            # Known before anything of it is claimed: whatever comes meanwhile holds a round.
            wider = Catalogue(self.client, self.options, self._names, wanted)
            wider.look()
            await wider.find_start(besides=self.catalogue.topics())
            self.group = wanted
            self.catalogue.become(wider)
            self.holdings.let_go_of_others()
            self.membership.join_again()
            self.fetcher.look_at_once()

    # --- receiving

    def _tenures(self) -> Sequence[Tenure]:
        return list(self.holdings.tenures.values())

    def _changed(self) -> None:
        self._lending.look_again()
        self.fetcher.look_at_once()

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        return await self._lending.receive(limit, self.options.timeout)

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        return await self._lending.ack(deliveries)

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        await self._lending.release(deliveries)

    @property
    def lost(self) -> int:
        """Deliveries that were finished when they were somebody else's already."""
        return self._lending.lost
