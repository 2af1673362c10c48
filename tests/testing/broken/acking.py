"""Transports that are wrong in what they acknowledge and take back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio.lowlevel
import msgspec

from busway.errors import TransportError
from busway.message import Envelope
from busway.testing._member import LogFeed
from busway.testing._records import Record
from busway.transport import Delivery, Fresh

from ._broken import BrokenLog

__all__ = [
    "AckForgetsWhenCancelled",
    "AckOfARunMissesItsEnd",
    "AckOfOneGroupIsAckOfAll",
    "AckRaisesWhenLate",
    "AckRaisesWhenTwice",
    "AckReportsNothingLost",
    "AckTellsWhenTheNextComes",
    "CommitsThePosition",
    "CountsAReleaseAsADelivery",
    "DoesNotWaitForWhatRuns",
    "ForgetsWhereInARunItWas",
    "NeverAcks",
    "ReleaseBeginsAnew",
    "ReleaseBringsBackWhatIsDone",
    "ReleaseCountsAnAttempt",
    "ReleaseForgetsTheStory",
    "ReleaseForgetsWhenCancelled",
    "ReleaseIsAck",
    "ReleaseLosesTheOrder",
    "ReleaseTwiceMakesTwo",
]


class NeverAcks(BrokenLog):
    """The broker is never told."""

    caught_by = ("test_what_is_acked_is_not_handed_out_again", "test_acks_may_come_in_any_order")

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            await anyio.lowlevel.checkpoint()
            return 0


class AckOfARunMissesItsEnd(BrokenLog):
    caught_by = ("test_many_come_in_order_and_are_finished_as_they_came",)

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            return _run_of(await super().receive(limit), lambda place: place)

        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            return await super().ack(deliveries[: len(deliveries) - (type(deliveries) is Fresh)])


class ForgetsWhereInARunItWas(BrokenLog):
    caught_by = (
        "test_of_many_some_are_finished_and_the_others_come_again_in_order",
        "test_of_many_those_that_nobody_finished_come_to_the_next_member",
    )

    class feed_type(LogFeed):
        async def receive(self, limit: int, /) -> Sequence[Delivery]:
            return _run_of(await super().receive(limit), lambda _: 0)


def _run_of(deliveries: Sequence[Delivery], of: Callable[[int], int]) -> Sequence[Delivery]:
    """The same as a run, where the receipt of each is that of the place that ``of`` says."""
    events = [each.content for each in deliveries if isinstance(each.content, Envelope)]
    if len(events) < 2 or any(each.attempt > 1 for each in deliveries):
        return deliveries
    first = deliveries[0]
    return Fresh(
        events,
        lambda _: first.channel,
        loan=first.loan,
        receipt_of=lambda place: deliveries[of(place)].receipt,
    )


class AckTellsWhenTheNextComes(BrokenLog):
    """The broker is told of it by the next one; so the last is never told."""

    caught_by = ("test_what_was_acked_with_more_at_hand_is_done_when_the_feed_is_left",)

    class feed_type(LogFeed):
        _later: Sequence[Delivery] = ()

        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            earlier, self._later = self._later, deliveries
            return await super().ack(earlier)


class CommitsThePosition(BrokenLog):
    """What a Kafka consumer does that commits where it stands: everything before is done too."""

    caught_by = (
        "test_an_ack_does_not_acknowledge_an_earlier_one",
        "test_fifty_publishers_and_members_that_come_and_go_lose_nothing",
    )

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                for earlier in sorted(tenure.lent):
                    if earlier <= offset:
                        tenure.ack(earlier)
                self.cohort.commit(tenure)
            return 0


class AckRaisesWhenLate(BrokenLog):
    caught_by = ("test_a_late_ack_is_harmless_and_tells_how_many_loans_were_lost",)

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            if lost := await super().ack(deliveries):
                raise TransportError(f"{lost} loans were lost")
            return 0


class AckRaisesWhenTwice(BrokenLog):
    caught_by = ("test_ack_twice_is_harmless",)

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                if not tenure.ended and offset not in tenure.lent:
                    raise TransportError(f"offset {offset} is not lent")
                await super().ack([delivery])
            return 0


class AckReportsNothingLost(BrokenLog):
    caught_by = ("test_a_late_ack_is_harmless_and_tells_how_many_loans_were_lost",)

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            await super().ack(deliveries)
            return 0


class AckOfOneGroupIsAckOfAll(BrokenLog):
    """One position for all, as if there were no groups."""

    caught_by = ("test_an_ack_counts_for_its_own_group_only",)

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            lost = await super().ack(deliveries)
            for delivery in deliveries:
                tenure, _ = delivery.receipt
                log = self.cohort._logs[tenure.place.address]
                log[tenure.place.partition].clear()
            return lost


class AckForgetsWhenCancelled(BrokenLog):
    """Takes note of what it has acknowledged before it has done so."""

    caught_by = ("test_an_ack_cancelled_anywhere_can_be_given_again",)

    class feed_type(LogFeed):
        async def ack(self, deliveries: Sequence[Delivery], /) -> int:
            new = [each for each in deliveries if not each.expired]
            for each in new:
                each.expired = True
            return await super().ack(new)


class ReleaseIsAck(BrokenLog):
    caught_by = ("test_what_is_released_comes_again", "test_what_is_released_comes_to_any_member")

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            await self.ack(deliveries)


class ReleaseLosesTheOrder(BrokenLog):
    """Sends what is given back to the end of the log, and acknowledges it."""

    caught_by = ("test_what_is_released_comes_again_in_order",)

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                if offset in tenure.lent:
                    tenure._records.append(tenure._records[offset])
            await self.ack(deliveries)
            self.wake()


class CountsAReleaseAsADelivery(BrokenLog):
    caught_by = ("test_what_is_released_is_not_counted_as_an_attempt_nor_as_a_delivery",)

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                tenure.give_back(offset)
            self.wake()


class RewritingWhatIsReleased(BrokenLog):
    """Writes something else in the place of what is given back."""

    class feed_type(LogFeed):
        def rewritten(self, delivery: Delivery, record: Record) -> Record:
            raise NotImplementedError

        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                tenure._records[offset] = self.rewritten(delivery, tenure._records[offset])
            await super().release(deliveries)


class ReleaseCountsAnAttempt(RewritingWhatIsReleased):
    caught_by = (
        "test_what_is_released_is_not_counted_as_an_attempt_nor_as_a_delivery",
        "test_what_is_released_after_attempts_in_place_is_between_those_sent_and_those_made",
    )

    class feed_type(RewritingWhatIsReleased.feed_type):
        def rewritten(self, delivery: Delivery, record: Record) -> Record:
            return msgspec.structs.replace(record, attempt=delivery.attempt + 1)


class ReleaseBeginsAnew(RewritingWhatIsReleased):
    """A retry that is given back comes as if it had never been tried."""

    caught_by = (
        "test_what_is_released_is_not_counted_as_an_attempt_nor_as_a_delivery",
        "test_what_is_released_after_attempts_in_place_is_between_those_sent_and_those_made",
    )

    class feed_type(RewritingWhatIsReleased.feed_type):
        def rewritten(self, delivery: Delivery, record: Record) -> Record:
            return msgspec.structs.replace(record, attempt=1)


class ReleaseForgetsTheStory(RewritingWhatIsReleased):
    """Keeps the attempt that the core has raised, and not what happened in it."""

    caught_by = (
        "test_what_is_released_after_attempts_in_place_is_between_those_sent_and_those_made",
    )

    class feed_type(RewritingWhatIsReleased.feed_type):
        def rewritten(self, delivery: Delivery, record: Record) -> Record:
            return msgspec.structs.replace(record, attempt=delivery.attempt)


class ReleaseTwiceMakesTwo(BrokenLog):
    caught_by = ("test_release_twice_is_harmless", "test_a_late_release_is_harmless")

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                for owner, current in self.cohort._tenures.values():
                    if current.place == tenure.place:
                        current.lent.discard(offset)
                        current._returned.append(offset)
                        owner.wake()


class ReleaseBringsBackWhatIsDone(BrokenLog):
    caught_by = ("test_a_release_after_the_ack_brings_nothing_back",)

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            for delivery in deliveries:
                tenure, offset = delivery.receipt
                tenure.lent.add(offset)
            await super().release(deliveries)


class ReleaseForgetsWhenCancelled(BrokenLog):
    caught_by = ("test_a_release_cancelled_anywhere_can_be_given_again",)

    class feed_type(LogFeed):
        async def release(self, deliveries: Sequence[Delivery], /) -> None:
            new = [each for each in deliveries if not each.expired]
            for each in new:
                each.expired = True
            await super().release(new)


class DoesNotWaitForWhatRuns(BrokenLog):
    """Gives a partition to another member while handlers of the old one still run."""

    caught_by = ("test_a_revoked_loan_is_drained_before_another_member_gets_it",)

    def __init__(self) -> None:
        super().__init__(patience=0.0)
