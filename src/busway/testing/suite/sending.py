"""What ``Transport.send`` promises."""

from __future__ import annotations

import random

import anyio
import msgspec

from busway.errors import EncodeError
from busway.message import Envelope
from busway.transport import WRITTEN, Encoder, NotWritten, Purpose, Raw, Story, Written

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, missing
from ._driver import Driver, value, values

__all__ = ["Sending"]

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


class Sending(SuiteBase):
    async def test_send_returns_an_outcome_for_each_item(self, driver: Driver) -> None:
        async with driver.listen():
            items = driver.events(range(7))
            outcomes = await driver.transport.send(items, timeout=driver.patience)
        assert list(outcomes) == [WRITTEN] * 7

    async def test_sending_nothing_is_nothing(self, driver: Driver) -> None:
        assert list(await driver.transport.send([], timeout=driver.patience)) == []

    async def test_written_means_that_the_broker_has_it(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.event("here"))
            assert values(await ear.take(1)) == ["here"]

    async def test_each_item_is_sent_once(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(20)), driver.event("with a key", key="k"))
            came = values(await ear.take(21))
            await ear.hears_nothing()
        assert sorted(map(str, came)) == sorted([*map(str, range(20)), "with a key"])

    async def test_what_was_written_is_there_after_the_last_user_left(self, driver: Driver) -> None:
        """Sent, and the transport closed at once: nothing may hang in a buffer."""
        if not self.keeps_when_closed:
            missing("keeps_when_closed")
        async with driver.listen():
            pass
        await driver.send(*driver.events(range(30)))
        await driver.transport.__aexit__(None, None, None)
        await driver.transport.__aenter__()
        async with driver.listen() as ear:
            assert sorted(values(await ear.take(30))) == list(range(30))

    async def test_one_item_that_fails_does_not_keep_the_others_from_being_sent(
        self, driver: Driver
    ) -> None:
        encoder = _Refusing(driver.encoder, 2)
        items = driver.events(range(5))
        for item in items:
            item.encoder = encoder
        async with driver.listen() as ear:
            outcomes = await driver.transport.send(items, timeout=driver.patience)
            if not encoder.asked:
                missing("encoding: this transport keeps objects")
            assert isinstance(outcomes[2], NotWritten), outcomes
            assert isinstance(outcomes[2].error, EncodeError)
            assert [type(outcome) for outcome in outcomes].count(Written) == 4
            assert sorted(values(await ear.take(4))) == [0, 1, 3, 4]
            await ear.hears_nothing()

    async def test_it_returns_within_the_timeout(self, driver: Driver) -> None:
        """However much is sent and however little is read."""
        async with driver.listen():
            items = driver.events(range(5000))
            began = anyio.current_time()
            with anyio.move_on_after(0.3 + driver.patience):
                outcomes = await driver.transport.send(items, timeout=0.3)
                assert anyio.current_time() - began <= 0.3 + driver.patience
                assert len(outcomes) == 5000
                return
        raise AssertionError("send(timeout=0.3) did not return")

    async def test_cancelled_it_may_have_sent_any_of_them(self, driver: Driver) -> None:
        """But none twice, none out of order, and the next send works."""
        async with driver.listen() as ear:
            for cut in cancelled_at_every_checkpoint():
                items = driver.events([f"{cut.at}/{n}" for n in range(3)], key="k")
                outcomes = await cut(driver.transport.send(items, timeout=driver.patience))
                await driver.send(driver.event("end", key="k"))
                came: list[str] = []
                while "end" not in came:
                    came += values(await ear.take(1, ack=True))
                assert came[:-1] == sorted(set(came[:-1]))
                assert set(came) <= {"end", *(f"{cut.at}/{n}" for n in range(3))}
                if not cut.cancelled:
                    assert outcomes is not None
                    assert len(came) == 4

    async def test_items_of_one_key_and_address_keep_their_order(self, driver: Driver) -> None:
        keys = ["a", "b", "c"]
        async with driver.listen() as ear:
            chance = random.Random(1)
            sent = [(chance.choice(keys), n) for n in range(60)]
            for begin in range(0, 60, 7):
                batch = sent[begin : begin + 7]
                await driver.send(*(driver.event([key, n], key=key) for key, n in batch))
            came = values(await ear.take(60, limit=7))
        for key in keys:
            assert [n for k, n in came if k == key] == [n for k, n in sent if k == key]

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

    async def test_raw_bytes_arrive_as_they_were_sent(self, driver: Driver) -> None:
        raw = Raw(b"\x00\xff{", "application/x-unknown", {"a": "", "b": "ü"}, "no envelope")
        async with driver.listen() as ear:
            await driver.send(driver.outgoing(raw, driver.address(Purpose.RETRY, "billing")))
            (delivery,) = await ear.take(1)
        assert delivery.content == raw


class _Refusing:
    """An encoder that cannot encode one value, and notes whether it was asked at all."""

    def __init__(self, encoder: Encoder, refused: object) -> None:
        self._encoder = encoder
        self._refused = refused
        self.content_type = encoder.content_type
        self.asked = False

    def encode(self, envelope: Envelope, /) -> bytes:
        self.asked = True
        if envelope.data == self._refused:
            raise EncodeError(f"{envelope.data!r} cannot be encoded")
        return self._encoder.encode(envelope)
