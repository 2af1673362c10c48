"""Transports that are wrong in what they receive."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import msgspec

from busway.errors import Undecodable
from busway.message import Envelope
from busway.testing._member import LogFeed
from busway.transport import Delivery, Feed, Raw

from ._broken import BrokenLog

__all__ = [
    "CountsFromNothing",
    "ForgetsOnCancel",
    "GarbageStopsEverything",
    "HidesHowOftenItWasDelivered",
    "KeepsTheLoansOfTheDead",
    "LendsTwice",
    "LosesWhatArrivesAsItIsCancelled",
    "NamesALaneForEachDelivery",
    "NamesTheGroupForTheChannel",
    "ReturnsMoreThanTheLimit",
    "ReturnsNothing",
    "SwallowsGarbage",
    "SwapsTwoOfOneKey",
]


class ForgetsOnCancel(BrokenLog):
    """Lends, and then waits once more before it returns."""

    caught_by = ("test_it_is_atomic_under_cancellation",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got = await super().receive(limit)
            await anyio.lowlevel.checkpoint()
            return got


class LosesWhatArrivesAsItIsCancelled(BrokenLog):
    """Reads in a task of its own: what that has taken is lost with a caller that is cancelled."""

    caught_by = ("test_a_receive_cancelled_while_it_waits_loses_nothing",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got: list[Delivery] = []

            async def read() -> None:
                taken = await LogFeed.receive(self, limit)
                await anyio.lowlevel.checkpoint()
                got.extend(taken)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
            return got


class ReturnsMoreThanTheLimit(BrokenLog):
    caught_by = ("test_it_returns_at_most_limit",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            return await super().receive(limit + 3)


class ReturnsNothing(BrokenLog):
    """A poll that came back empty is handed on."""

    caught_by = ("test_it_waits_for_at_least_one",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            with anyio.move_on_after(0.001):
                return await super().receive(limit)
            return []


class SwapsTwoOfOneKey(BrokenLog):
    caught_by = (
        "test_it_returns_deliveries_of_one_lane_in_the_order_they_were_sent",
        "test_items_of_one_key_and_address_keep_their_order",
    )

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            return list(reversed(await super().receive(limit)))


class LendsTwice(BrokenLog):
    """What is not acknowledged by the next call comes again."""

    caught_by = ("test_what_is_lent_is_not_lent_again",)

    class feed_type(LogFeed):
        _held: Sequence[Delivery] = ()

        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            await self.release(self._held)
            self._held = await super().receive(limit)
            return self._held


class NamesALaneForEachDelivery(BrokenLog):
    """The offset is no lane: two events of one key would be handled side by side."""

    caught_by = ("test_a_key_always_has_the_same_lane",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got = await super().receive(limit)
            for delivery in got:
                delivery.lane = delivery.receipt[1]
            return got


class NamesTheGroupForTheChannel(BrokenLog):
    caught_by = ("test_a_delivery_names_the_channel_it_lay_in",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            return [
                msgspec.structs.replace(each, channel=self.group.name)
                for each in await super().receive(limit)
            ]


class CountsFromNothing(BrokenLog):
    """A broker that counts redeliveries begins with 0; the contract begins with 1."""

    caught_by = ("test_a_first_delivery_is_counted_as_the_first",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got = await super().receive(limit)
            for delivery in got:
                delivery.delivered -= 1
            return got


class HidesHowOftenItWasDelivered(BrokenLog):
    """A poison event that kills the process would look new each time."""

    caught_by = ("test_what_comes_again_from_a_member_that_is_gone_is_counted",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got = await super().receive(limit)
            for delivery in got:
                delivery.delivered = 1
            return got


class SwallowsGarbage(BrokenLog):
    """What cannot be read is acknowledged and gone."""

    caught_by = (
        "test_bytes_that_are_no_envelope_come_as_raw",
        "test_raw_bytes_arrive_as_they_were_sent",
    )

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            while True:
                got = await super().receive(limit)
                await self.ack([each for each in got if isinstance(each.content, Raw)])
                if good := [each for each in got if isinstance(each.content, Envelope)]:
                    return good


class GarbageStopsEverything(BrokenLog):
    caught_by = ("test_bytes_that_are_no_envelope_stop_nothing",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            got = await super().receive(limit)
            if any(isinstance(each.content, Raw) for each in got):
                await self.release(got)
                raise Undecodable("these bytes are no envelope")
            return got


class KeepsTheLoansOfTheDead(BrokenLog):
    """Who does not say goodbye stays a member for ever."""

    caught_by = ("test_what_was_lent_to_a_member_that_is_gone_comes_again",)

    def expel(self, feed: Feed, /) -> None:
        pass
