"""What ``Transport.send`` promises."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio

from busway.errors import EncodeError
from busway.message import Envelope
from busway.transport import (
    WRITTEN,
    Encoder,
    NotWritten,
    Outcome,
    Written,
)

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, missing
from ._driver import Driver, values

__all__ = ["Sending"]


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
        async with driver.listen() as ear:
            await self._send_refusing(driver, {1})
            assert sorted(values(await ear.take(4))) == [0, 2, 3, 4]
            await ear.hears_nothing()

    async def test_the_outcomes_are_in_the_order_of_the_items(self, driver: Driver) -> None:
        async with driver.listen():
            outcomes = await self._send_refusing(driver, {0, 3})
        kinds = [NotWritten, Written, Written, NotWritten, Written]
        assert [type(outcome) for outcome in outcomes] == kinds

    async def test_an_item_that_cannot_be_encoded_is_not_written_with_that_error(
        self, driver: Driver
    ) -> None:
        async with driver.listen():
            outcomes = await self._send_refusing(driver, {2})
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, NotWritten)]
        assert [type(error) for error in errors] == [EncodeError]

    async def _send_refusing(self, driver: Driver, refused: set[int]) -> Sequence[Outcome]:
        """Send 0 to 4, some of which cannot be encoded."""
        encoder = _Refusing(driver.encoder, refused)
        items = driver.events(range(5))
        for item in items:
            item.encoder = encoder
        outcomes = await driver.within(
            driver.transport.send(items, timeout=driver.patience), "send did not return"
        )
        if not encoder.asked:
            missing("encoding: this transport keeps objects")
        return outcomes

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


class _Refusing:
    """An encoder that cannot encode some values, and notes whether it was asked at all."""

    def __init__(self, encoder: Encoder, refused: set[int]) -> None:
        self._encoder = encoder
        self._refused = refused
        self.content_type = encoder.content_type
        self.asked = False

    def encode(self, envelope: Envelope, /) -> bytes:
        self.asked = True
        if envelope.data in self._refused:
            raise EncodeError(f"{envelope.data!r} cannot be encoded")
        return self._encoder.encode(envelope)
