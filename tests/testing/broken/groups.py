"""Transports that are wrong in who gets what."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

import anyio.lowlevel
import msgspec

from busway.testing._cohort import Cohort
from busway.testing._member import LogFeed
from busway.testing._records import Record
from busway.testing._tenure import Tenure
from busway.transport import (
    Address,
    Browsed,
    Delivery,
    Feed,
    Group,
    Outcome,
    Outgoing,
    Purpose,
)

from ._broken import BrokenLog

__all__ = [
    "BrowseBeginsAtThePosition",
    "BrowseForgetsTheStory",
    "CannotBeEnteredAgain",
    "ChartsForgetting",
    "ChartsThatFollow",
    "DeliversDeadLetters",
    "FenceIsLostWithItsOwner",
    "FenceNeverGrows",
    "FencesEachTenure",
    "FirstToLeaveClosesForAll",
    "FollowLosesWhatIsLent",
    "FollowsWithTheNextReceive",
    "ForgetsADurableGroup",
    "IgnoresTheStart",
    "JoinsWhenItReceives",
    "KeepsAGroupThatIsNotDurable",
    "KeepsAMemberWhoseJoiningWasCancelled",
    "KeepsTheLoansOfThoseWhoLeft",
    "LendsToEveryMember",
    "LocatedAnewEachTime",
    "LocatedByAnAddress",
    "MissesNewChannels",
    "RemovesAGroupThatListens",
    "ReportsInWords",
    "ReportsWhatHappenedOnly",
    "ShowsAReplyToAll",
    "ShowsARetryToAll",
]


class ShowingOwnAddresses(BrokenLog):
    """Sends what is one group's to every group."""

    purpose: Purpose

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        for item in items:
            if item.address.purpose is self.purpose:
                for name in self._cohorts:
                    if name != item.address.group:
                        address = msgspec.structs.replace(item.address, group=name)
                        other = msgspec.structs.replace(item, address=address)
                        await super().send([other], timeout=timeout)
        return await super().send(items, timeout=timeout)


class ShowsARetryToAll(ShowingOwnAddresses):
    caught_by = ("test_another_groups_retry_is_never_seen",)
    purpose = Purpose.RETRY


class ShowsAReplyToAll(ShowingOwnAddresses):
    caught_by = ("test_another_groups_reply_is_never_seen",)
    purpose = Purpose.REPLY


class DeliversDeadLetters(BrokenLog):
    caught_by = ("test_a_dead_letter_is_received_by_nobody",)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        for item in items:
            if item.address.purpose is Purpose.DEAD:
                address = msgspec.structs.replace(item.address, purpose=Purpose.RETRY)
                other = msgspec.structs.replace(item, address=address)
                await super().send([other], timeout=timeout)
        return await super().send(items, timeout=timeout)


class LendsToEveryMember(BrokenLog):
    """Each member reads for itself, as if it were a group."""

    caught_by = (
        "test_inside_a_group_each_event_goes_to_one_member_at_a_time",
        "test_fifty_publishers_and_steady_members_make_no_duplicate",
    )

    def _feed(self, group: Group, cohort: Cohort) -> LogFeed:
        own = Cohort(group, self._logs, self.patience)
        self._cohorts[f"{group.name} {len(self._cohorts)}"] = own  # or it would hear of nothing new
        return LogFeed(group, own)


class JoinsWhenItReceives(BrokenLog):
    """Entering returns at once; what is published before the first receive is missed."""

    caught_by = ("test_entering_returns_when_the_group_exists",)

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncIterator[Feed]:
        cohort = Cohort(group, self._logs, self.patience)
        feed = LogFeed(group, cohort)
        original = feed.receive

        async def receive(limit: int, /) -> Sequence[Delivery]:
            if group.name not in self._cohorts:
                fresh = self._cohorts[group.name] = Cohort(group, self._logs, self.patience)
                feed.cohort = fresh
            return await original(limit)

        feed.receive = receive  # type: ignore[method-assign]
        yield feed
        feed.close()


class MissesNewChannels(BrokenLog):
    """A channel nobody had sent to when the group came to be is never looked at."""

    caught_by = ("test_a_channel_that_is_new_reaches_a_group_that_exists",)

    def _write(self, address: Address, record: object) -> None:
        if address not in self._logs and self._cohorts:
            self._logs[address] = [[] for _ in range(self.partitions)]
        super()._write(address, record)  # type: ignore[arg-type]


class KeepsTheLoansOfThoseWhoLeft(BrokenLog):
    """A loan for ever."""

    caught_by = (
        "test_leaving_gives_back_what_was_not_acknowledged",
        "test_leaving_by_an_exception_or_a_cancellation_gives_back_too",
    )

    class feed_type(LogFeed):
        def close(self) -> None:
            self.cohort.members.append(self)


class KeepsAMemberWhoseJoiningWasCancelled(BrokenLog):
    caught_by = ("test_joining_cancelled_anywhere_leaves_no_member_behind",)

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncIterator[Feed]:
        async with super().listen(group) as feed:
            try:
                await anyio.lowlevel.checkpoint()
            except BaseException:
                # What leaving without a word comes to. The context itself is not left open: when
                # that would be collected is anybody's guess.
                cohort = self._cohorts[group.name]
                cohort.join(LogFeed(group, cohort))
                raise
            yield feed


class ForgetsADurableGroup(BrokenLog):
    caught_by = (
        "test_a_durable_group_keeps_its_place_while_nobody_listens",
        "test_start_matters_only_to_a_group_the_broker_has_never_seen",
    )

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncIterator[Feed]:
        async with super().listen(group) as feed:
            yield feed
        self._forget(group.name)


class KeepsAGroupThatIsNotDurable(BrokenLog):
    caught_by = ("test_a_group_that_is_not_durable_is_forgotten_when_it_is_left",)

    def _forget(self, name: str) -> None:
        pass


class IgnoresTheStart(BrokenLog):
    caught_by = (
        "test_latest_begins_with_what_comes_from_now_on",
        "test_a_moment_begins_with_what_was_sent_then_or_later",
    )

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncIterator[Feed]:
        async with super().listen(msgspec.structs.replace(group, start="earliest")) as feed:
            yield feed


class FirstToLeaveClosesForAll(BrokenLog):
    caught_by = ("test_the_first_opens_and_the_last_closes",)

    async def __aexit__(self, *exc: object) -> None:
        self._users = 0


class CannotBeEnteredAgain(BrokenLog):
    caught_by = ("test_a_transport_may_be_entered_again_after_it_was_left",)

    _left = False

    async def __aenter__(self) -> Self:
        return self if self._left else await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        self._left = True
        await super().__aexit__(*exc)


class FollowsWithTheNextReceive(BrokenLog):
    """A receive that waits already does not learn of the new patterns."""

    caught_by = ("test_follows_wakes_a_receive_that_waits",)

    class feed_type(LogFeed):
        async def follow(self, group: Group, /) -> None:
            self.group = group

        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            self.cohort.balance()
            return await super().receive(limit)


class FollowLosesWhatIsLent(BrokenLog):
    """To follow other patterns it leaves and joins again."""

    caught_by = ("test_follows_keeps_what_is_lent",)

    class feed_type(LogFeed):
        async def follow(self, group: Group, /) -> None:
            self.cohort.leave(self, politely=True)
            self.group = group
            self.cohort.join(self)


class BrowseBeginsAtThePosition(BrokenLog):
    caught_by = ("test_browses_those_after_a_position",)

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        async for entry in super().browse(address):
            if after is None or entry.position >= after:
                yield entry


class BrowseForgetsTheStory(BrokenLog):
    caught_by = ("test_browses_a_dead_letter_with_its_whole_story",)

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        async for entry in super().browse(address, after=after):
            yield msgspec.structs.replace(entry, story=None)


class RemovesAGroupThatListens(BrokenLog):
    caught_by = ("test_manages_groups_forgets_one_and_what_waits_for_it",)

    async def remove_group(self, name: str, /) -> bool:
        there = name in self._cohorts
        self._forget(name)
        return there


class FencingAnew(BrokenLog):
    """Sets the fence of what it lends itself."""

    class feed_type(LogFeed):
        def fence(self, tenure: Tenure) -> int | None:
            raise NotImplementedError

        def _lend(self, tenure: Tenure, offset: int, record: Record) -> Delivery:
            tenure.loan.fence = self.fence(tenure)
            return super()._lend(tenure, offset, record)


class FenceNeverGrows(FencingAnew):
    """Numbers partitions, and not who has them."""

    caught_by = (
        "test_a_later_owners_fence_is_greater",
        "test_the_fence_of_who_takes_over_from_a_dead_member_is_greater",
    )

    class feed_type(FencingAnew.feed_type):
        def fence(self, tenure: Tenure) -> int | None:
            return tenure.place.partition + 1


class FenceIsLostWithItsOwner(FencingAnew):
    """Only the first owner of a partition has one."""

    caught_by = ("test_a_later_owners_fence_is_greater",)

    class feed_type(FencingAnew.feed_type):
        def fence(self, tenure: Tenure) -> int | None:
            return 1 if tenure.loan.fence == 1 else None


class FencesEachTenure(FencingAnew):
    """Counts the retries of a partition apart from its events."""

    caught_by = ("test_one_owner_has_one_fence_for_the_events_of_a_key_and_its_retries",)

    class feed_type(FencingAnew.feed_type):
        def fence(self, tenure: Tenure) -> int | None:
            return id(tenure)


class ChartsForgetting(BrokenLog):
    caught_by = ("test_charts_keeps_where_topics_lie",)

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        return channels


class ChartsThatFollow(BrokenLog):
    """Whoever started last is right, and the others publish where nobody listens."""

    caught_by = ("test_charts_refuses_another_channel_and_records_nothing",)

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        self._chart.update(channels)
        return dict(self._chart)


class LocatedAnewEachTime(BrokenLog):
    caught_by = ("test_located_says_the_same_whenever_it_is_asked",)

    async def location(self) -> str:
        return secrets.token_hex(8)


class LocatedByAnAddress(BrokenLog):
    """Which others would read in the headers."""

    caught_by = ("test_located_fits_into_a_header",)

    async def location(self) -> str:
        return "log://user:secret@host?partitions=4"


class ReportsWhatHappenedOnly(BrokenLog):
    """So that who draws a curve has none before the first trouble."""

    caught_by = ("test_reports_has_its_names_from_the_beginning",)

    def report(self) -> Mapping[str, int]:
        return {name: number for name, number in super().report().items() if number}


class ReportsInWords(BrokenLog):
    caught_by = ("test_reports_are_numbers_by_name",)

    def report(self) -> Mapping[str, int]:
        return {"Records-Appended": 1}
