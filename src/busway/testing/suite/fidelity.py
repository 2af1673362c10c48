"""What arrives is what was sent, and what travels beside it does so unchanged."""

from __future__ import annotations

import time

import msgspec

from busway.message import Envelope
from busway.transport import (
    Holds,
    Purpose,
    Raw,
    Story,
)

from ._base import SuiteBase, kept
from ._driver import Driver, value

__all__ = ["Fidelity"]

STORY = Story(
    group="billing",
    handler="charge",
    attempts=4,
    first_failed=1_700_000_000.25,
    last_failed=1_700_000_100.5,
    kind="KeyError",
    reason="'größe'",
    traceback="Traceback …\n  KeyError",
    replays=2,
)


class Fidelity(SuiteBase):
    async def test_every_field_of_an_envelope_arrives(self, driver: Driver) -> None:
        envelope = msgspec.structs.replace(
            driver.envelope(
                {"total": 99.5, "note": "für 12 €", "none": None, "deep": [[1]]}, "k-1"
            ),
            source="https://shop.example/π",
            timestamp=1_700_000_000.123456,
            given_id="0190b0e0-0000-7000-8000-000000000001",
            given_correlation_id="c-1",
            causation_id="c-2",
            idempotency_key="once",
            schema_version=3,
            tenant="acme",
            user="u-1",
            aggregate=("order", "o-1"),
            resource=("page", "/a b"),
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            tracestate="a=b,c=d",
            reply_to="shop.replies",
            headers={"plain": "1", "größe": "ß✓\n", "long": "x" * 5000},
        )
        came = await self._travels(driver, envelope)
        for field in envelope.__struct_fields__:
            if field not in ("data", "content_type"):
                assert getattr(came, field) == getattr(envelope, field), field

    async def test_an_empty_header_arrives(self, driver: Driver) -> None:
        envelope = msgspec.structs.replace(driver.envelope(1), headers={"empty": "", "full": "1"})
        came = await self._travels(driver, envelope)
        assert dict(came.headers) == {"empty": "", "full": "1"}

    async def test_what_was_not_set_stays_unset(self, driver: Driver) -> None:
        came = await self._travels(driver, driver.envelope(1))
        assert (came.subject, came.tenant, came.causation_id, came.reply_to) == (None,) * 4
        assert dict(came.headers) == {}

    async def test_a_large_event_arrives(self, driver: Driver) -> None:
        await self._travels(driver, driver.envelope("ä" * 200_000))

    async def _travels(self, driver: Driver, envelope: Envelope) -> Envelope:
        """Send it and return what came, which must carry the same data and id."""
        async with driver.listen() as ear:
            await driver.send(driver.outgoing(envelope, driver.address()))
            (delivery,) = await ear.take(1)
        assert isinstance(delivery.content, Envelope)
        assert value(delivery) == envelope.data
        assert delivery.content.id == envelope.id
        return delivery.content

    @kept
    async def test_the_envelope_is_never_changed(self, driver: Driver) -> None:
        """Sent as an event and sent again to a retry address, it is the same, with the same id."""
        envelope = msgspec.structs.replace(driver.envelope([1], "k"), headers={"a": "b"})
        before = msgspec.structs.asdict(envelope) | {"given_id": envelope.id}
        async with driver.listen() as ear:
            await driver.send(driver.outgoing(envelope, driver.address()))
            (first,) = await ear.take(1)
            again = driver.address(Purpose.RETRY, "billing")
            await driver.send(driver.outgoing(first.content, again, attempt=2, story=STORY))
            await ear.ack([first])
            (second,) = await ear.take(1)
        assert isinstance(first.content, Envelope)
        assert isinstance(second.content, Envelope)
        assert msgspec.structs.asdict(envelope) == before
        assert second.content.id == first.content.id == envelope.id
        assert second.content.time == envelope.time
        assert dict(second.content.headers) == {"a": "b"}

    @kept
    async def test_the_attempt_the_story_and_the_due_time_travel_beside_it(
        self, driver: Driver
    ) -> None:
        past = 1_700_000_000.5
        address = driver.address(Purpose.RETRY, "billing")
        async with driver.listen() as ear:
            item = driver.outgoing(
                driver.envelope(1, "k"), address, attempt=3, due=past, story=STORY
            )
            await driver.send(item)
            (delivery,) = await ear.take(1)
        assert delivery.attempt == 3
        assert delivery.story == STORY
        assert delivery.due in (None, past), "a due time that is over may be forgotten, not changed"

    @kept
    async def test_an_item_that_is_not_due_is_held_or_comes_with_its_due_time(
        self, driver: Driver
    ) -> None:
        due = float(round(time.time() + 3600))
        async with driver.listen() as ear:
            item = driver.event("in an hour")
            item.due = due
            await driver.send(item)
            if isinstance(driver.transport, Holds):
                await ear.hears_nothing()
            else:
                (delivery,) = await ear.take(1)
                assert delivery.due == due

    @kept
    async def test_raw_bytes_arrive_as_they_were_sent(self, driver: Driver) -> None:
        raw = Raw(b"\x00\xff{", "application/x-unknown", {"a": "", "b": "ü"}, "no envelope")
        async with driver.listen() as ear:
            await driver.send(driver.outgoing(raw, driver.address(Purpose.RETRY, "billing")))
            (delivery,) = await ear.take(1)
        assert delivery.content == raw
