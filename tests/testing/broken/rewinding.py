"""Transports that move a group wrongly."""

from __future__ import annotations

from busway.transport import Purpose, Start

from ._broken import BrokenLog

__all__ = [
    "RewindsEveryGroup",
    "RewindsPastWhatItTriesAgain",
    "RewindsToTheBeginningOnly",
    "RewindsToWhereItWas",
    "RewindsWhatItHadReadOnly",
    "RewindsWhileSomebodyListens",
]


class RewindsToWhereItWas(BrokenLog):
    caught_by = (
        "test_rewinds_moves_a_group_to_what_is_kept_or_to_now",
        "test_rewinds_moves_a_group_to_a_moment",
    )

    async def rewind(self, group: str, to: Start, /) -> None:
        self._idle(group)


class RewindsToTheBeginningOnly(BrokenLog):
    caught_by = (
        "test_rewinds_moves_a_group_to_what_is_kept_or_to_now",
        "test_rewinds_moves_a_group_to_a_moment",
    )

    async def rewind(self, group: str, to: Start, /) -> None:
        await super().rewind(group, "earliest")


class RewindsEveryGroup(BrokenLog):
    caught_by = ("test_rewinds_one_group_only",)

    async def rewind(self, group: str, to: Start, /) -> None:
        self._idle(group)
        for each in self._cohorts:
            await super().rewind(each, to)


class RewindsPastWhatItTriesAgain(BrokenLog):
    """A retry is no history: nobody else has it."""

    caught_by = ("test_rewinds_only_among_the_events",)

    async def rewind(self, group: str, to: Start, /) -> None:
        await super().rewind(group, to)
        committed = self._cohorts[group]._committed
        for place in committed:
            if to == "latest" and place.address.purpose is Purpose.RETRY:
                committed[place] = len(self._logs[place.address][place.partition])


class RewindsWhatItHadReadOnly(BrokenLog):
    """A channel that appeared while nobody listened begins with its first record all the same."""

    caught_by = ("test_rewinds_among_channels_that_nobody_had_listened_to",)

    async def rewind(self, group: str, to: Start, /) -> None:
        cohort = self._cohorts.get(group)
        unread = [place for place, read in cohort._committed.items() if not read] if cohort else []
        await super().rewind(group, to)
        for place in unread:
            self._cohorts[group]._committed[place] = 0


class RewindsWhileSomebodyListens(BrokenLog):
    caught_by = ("test_rewinds_nothing_while_a_member_listens_nor_what_there_is_not",)

    async def rewind(self, group: str, to: Start, /) -> None:
        self._cohorts[group].rewind(to)
