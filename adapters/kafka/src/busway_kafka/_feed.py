"""What one member of a group receives."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.lowlevel
import msgspec

from busway import Envelope, TransportError
from busway.transport import Address, Delivery, Group, Purpose

from ._client import Client
from ._committing import Committer
from ._deferring import Deferring, Early
from ._fetching import Fetcher
from ._foreign import Foreigners
from ._holdings import Holdings
from ._membership import Membership
from ._names import Names
from ._options import Options
from ._suspecting import Suspecting
from ._tenure import Tenure
from ._tiers import SOONEST
from ._wire import Read, read

__all__ = ["KafkaFeed"]

_log = logging.getLogger("busway.kafka")

_LOOK = 0.05
_TO_COMMIT = 0.7
"""Of the time that leaving may take; the rest is for the goodbye."""
_BEHIND = 0.25
"""Seconds for which acknowledgements go on while the broker has not taken earlier ones."""


class KafkaFeed:
    """One member's share of a group. Power: Follows."""

    lost = 0
    dead = False
    _problem: TransportError | None = None
    _mistake: BaseException | None = None
    _turn = 0

    def __init__(
        self,
        client: Client,
        options: Options,
        names: Names,
        group: Group,
        send: Callable[[Sequence[Early]], Awaitable[Sequence[object]]],
        ensure: Callable[[Address, str], Awaitable[object]],
        lane: str,
    ) -> None:
        self.group = group
        self.options = options
        self.client = client
        self.holdings = Holdings(client, options, names, group, self._changed)
        name = self.holdings.kafka_id
        member = Membership(client, options, name, f"group {lane}", self.holdings)
        self.membership = member
        self.committer = Committer(client, name, lambda: member.who, member.expelled)
        self.holdings.committer = self.committer
        self.holdings.join_again = self.membership.join_again
        self._arrived = asyncio.Event()
        arrive = self._arrived.set
        self.fetcher = Fetcher(
            client, options, f"fetch {lane}", self._tenures, arrive, self._broken
        )
        self._lane = lane
        self._ensure = ensure
        self._defer = Deferring(send, self.committer.commit, durable=group.durable)
        decoder = options.decoder
        self._foreigners = None if decoder is None else Foreigners(decoder)
        self._suspecting = Suspecting(self.committer, self._defer.put_off, self._foreigners)
        self._tasks: list[asyncio.Task[None]] = []
        self._nudged = asyncio.Event()

    # --- its life

    async def open(self) -> None:
        """Begin to join. Raises TransportError within the deadline when there is nobody.

        It waits to be given something, and no longer than that deadline: whoever was killed is one
        of the group until its lease is over, and nobody is given anything before.
        """
        deadline = anyio.current_time() + self.options.timeout
        await self._find()
        self._tasks = [
            asyncio.create_task(self.membership.run()),
            asyncio.create_task(self.fetcher.run()),
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._defer.run()),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        with anyio.CancelScope(deadline=deadline):
            await self.membership.joined.wait()

    async def _find(self) -> None:
        try:
            with anyio.fail_after(self.options.timeout):
                await self.client.refresh()
                self.holdings.look()
                await self.client.coordinator(self.holdings.kafka_id)
                await self.holdings.find_start()
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
        self.client.close_lane(f"group {self._lane}")
        self.client.close_lane(f"fetch {self._lane}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of them ends by itself. One that does is a mistake of ours, which the bus shall hear
        of: without it this member would stand still and look well."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._mistake = error
            self._arrived.set()

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
                await self._look()
                await self._prepare()
                self._broken(None)
            except TransportError as error:
                self._broken(error)

    async def _prepare(self) -> None:
        """What fails first must not wait until there is a topic to try it again from."""
        if self.group.durable and self.group.patterns and self.options.create == "auto":
            for channel in self.holdings.known:
                await self._ensure(Address(channel, Purpose.RETRY, self.group.name), SOONEST)

    async def _look(self) -> None:
        if self.holdings.look():
            self.membership.join_again()
        elif self.membership.generation >= 0:
            await self.holdings.open()
        self.fetcher.look_at_once()

    def nudge(self) -> None:
        """There is another topic."""
        self._nudged.set()

    async def follow(self, group: Group, /) -> None:
        read = self.holdings.topics()
        # Where a group begins is settled when it begins.
        group = msgspec.structs.replace(group, start=self.group.start)
        self.group = self.holdings.group = group
        await self.client.refresh()
        self.holdings.look()
        self.holdings.let_go_of_others()
        await self.holdings.find_start(besides=read)
        self.membership.join_again()
        self.fetcher.look_at_once()

    # --- receiving

    def _tenures(self) -> Sequence[Tenure]:
        return list(self.holdings.tenures.values())

    def _changed(self) -> None:
        self._arrived.set()
        self.fetcher.look_at_once()

    def _broken(self, error: TransportError | None) -> None:
        self._problem = error
        if error is not None:
            self._arrived.set()

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        patient_until = time.monotonic() + self.options.timeout
        while True:
            self._arrived.clear()
            now = time.time()
            tenures = self._asked()
            found: list[Delivery] = []
            for tenure in tenures:
                if tenure.held:
                    tenure.due(now)
                if len(found) < limit:
                    self._take_from(tenure, limit - len(found), now, found)
            if found:
                self._go_on(tenures)
                return found
            if suspect := await self._suspecting.next(tenures, now):
                return [suspect]
            if self._mistake is not None:
                raise self._mistake
            self.fetcher.look()
            if short := [t for t in tenures if t.asked > t.reserved and not t.leaving]:
                await self.committer.commit(short)
                continue
            problem = self._problem
            # What is over in a moment is no news.
            if problem and (not problem.retryable or time.monotonic() >= patient_until):
                self._problem = None
                raise problem
            await self._wait(tenures, now)

    def _asked(self) -> list[Tenure]:
        """Those that something may be taken from, another first each time."""
        tenures = [t for t in self.holdings.tenures.values() if self._is_ours(t)]
        self._turn += 1
        turn = self._turn % len(tenures) if tenures else 0
        return tenures[turn:] + tenures[:turn]

    def _is_ours(self, tenure: Tenure) -> bool:
        if tenure.leaving:
            return False
        if tenure.loan.revoked:
            until = tenure.loan.until
            # It ran out by itself; what was lent under it came back, or is finished.
            alive = self.membership.alive_until
            if tenure.loan.running or tenure.lent or alive <= time.monotonic() or until is None:
                return False
            tenure.renew()
            tenure.loan.until = alive
        return True

    def _take_from(self, tenure: Tenure, most: int, now: float, found: list[Delivery]) -> None:
        take, loan, channel = tenure.take, tenure.loan, tenure.address.channel
        below, foreigners = tenure.suspect_below, self._foreigners
        while most > 0:
            if below and tenure.suspects:
                return
            taken = take()
            if taken is None:
                return
            offset, what = taken
            if not isinstance(what, Read):
                record, what = what, read(what.key, what.value, what.headers)
                if foreigners is not None:
                    what = foreigners.read(tenure.topic, tenure.number, record, what)
            content, attempt, due, story = what
            if due is not None and due > now:
                self._defer.put_off(tenure, offset, what, now)
                continue
            found.append(
                Delivery(
                    content,
                    channel,
                    content.subject if type(content) is Envelope else None,
                    attempt,
                    1,
                    due,
                    story,
                    loan,
                    (tenure, offset),
                )
            )
            most -= 1

    def _go_on(self, tenures: Sequence[Tenure]) -> None:
        self.fetcher.look()
        if short := [tenure for tenure in tenures if tenure.runs_short]:
            self.committer.begin(short)

    async def _wait(self, tenures: Sequence[Tenure], now: float) -> None:
        """Until something may have come, or is due."""
        due = [tenure.next_due for tenure in tenures if tenure.next_due is not None]
        pause = max(0.0, min(due) - now) if due else None
        revoked = any(t.loan.revoked for t in self.holdings.tenures.values())
        if revoked or self._suspecting.one_is_lent:
            pause = _LOOK if pause is None else min(pause, _LOOK)
        try:
            async with asyncio.timeout(pause):
                await self._arrived.wait()
        except TimeoutError:
            pass

    # --- settling

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        touched: dict[Tenure, None] = {}
        lost = 0
        for delivery in deliveries:
            tenure, offset = delivery.receipt
            if tenure.done(offset):
                touched[tenure] = None
                if self._suspecting.is_over(tenure, offset):
                    self._arrived.set()
            elif tenure.ended:
                lost += tenure.lose(offset)
            elif tenure.dirty:
                touched[tenure] = None
        if touched and self._more() and self.committer.behind < _BEHIND:
            # There is more to do: the broker is told meanwhile.
            self.committer.begin(touched)
        elif touched:
            await self.committer.commit(touched)
            gone = [each for each in touched if each.ended and each.dirty]
            lost += sum(delivery.receipt[0] in gone for delivery in deliveries)
        self.lost += lost
        return lost

    def _more(self) -> bool:
        return any(t.fetched and not t.leaving for t in self.holdings.tenures.values())

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        for delivery in deliveries:
            tenure, offset = delivery.receipt
            what = Read(delivery.content, delivery.attempt, delivery.due, delivery.story)
            if tenure.give_back(offset, what):
                if offset in tenure.begun:
                    self._suspecting.not_begun(tenure, offset)
                    self.committer.begin([tenure])
            elif tenure.ended:
                tenure.lose(offset)
        self._arrived.set()
        await anyio.lowlevel.checkpoint()
