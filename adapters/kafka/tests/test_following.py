"""A group that is widened while it runs, and where it begins in what is new to it."""

from __future__ import annotations

import uuid
from typing import Any

import anyio
import msgspec
import pytest

from busway import TransportError
from busway.testing.suite import values
from busway.transport import Address, Group
from busway_kafka import _catalogue

from .kafka_world import world
from .test_membership import opened, until

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


async def test_what_lay_there_is_not_handed_out_though_members_meet_before_its_end_is_known(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that begins at the end does so in each channel that it follows later."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    narrow = Group("billing", ("order.*",), lambda _: True, frozenset({"order"}), start="latest")
    wide = msgspec.structs.replace(
        narrow, patterns=("order.*", "invoice.*"), channels=frozenset({"order", "invoice"})
    )
    asked, known, calls = _catalogue.offsets_at, anyio.Event(), list[int]()

    async def late(*args: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == 0:
            await known.wait()
        return await asked(*args)

    with anyio.fail_after(PATIENCE):
        async with world(kafka_url, prefix, partitions="1") as here:
            await here.send(Address("order"), "old")
            await here.send(Address("invoice"), *range(5))
            one, two = (opened(kafka_url, prefix, partitions=1) for _ in range(2))
            async with one, two, one.listen(narrow) as feed:
                monkeypatch.setattr(_catalogue, "offsets_at", late)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.follow, wide)
                    await until(lambda: calls)
                    before = feed.membership.rebalances
                    async with two.listen(narrow):
                        await until(lambda: feed.membership.rebalances > before)
                    known.set()
                await here.send(Address("invoice"), "new")
                assert values(await feed.receive(10)) == ["new"]


def group(*channels: str, **own: Any) -> Group:
    patterns = tuple(f"{channel}.*" for channel in channels)
    return Group("billing", patterns, lambda _: True, frozenset(channels), **own)


async def test_what_could_not_be_followed_at_once_is_followed_later(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for it is told, and asks no more: the bus has the handler by then."""
    prefix = f"t{uuid.uuid4().hex[:8]}."

    async def away() -> None:
        raise TransportError("away for a moment")

    with anyio.fail_after(PATIENCE):
        async with world(kafka_url, prefix, partitions="1") as here:
            await here.send(Address("order"), "an order")
            await here.send(Address("invoice"), "an invoice")
            one = opened(kafka_url, prefix, partitions=1)
            async with one, one.listen(group("order")) as feed:
                assert values(await feed.receive(10)) == ["an order"]
                with monkeypatch.context() as broken:
                    broken.setattr(one.client, "refresh", away)
                    with pytest.raises(TransportError, match="away for a moment"):
                        await feed.follow(group("order", "invoice"))
                assert values(await feed.receive(10)) == ["an invoice"]


async def test_of_two_that_follow_at_once_the_later_one_counts(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    asked, gate, calls = _catalogue.offsets_at, anyio.Event(), list[int]()

    async def late(*args: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == 0:
            await gate.wait()
        return await asked(*args)

    with anyio.fail_after(PATIENCE):
        async with world(kafka_url, prefix, partitions="1") as here:
            for channel in ("order", "invoice", "payment"):
                await here.send(Address(channel), "old")
            one = opened(kafka_url, prefix, partitions=1)
            async with one, one.listen(group("order", start="latest")) as feed:
                monkeypatch.setattr(_catalogue, "offsets_at", late)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.follow, group("order", "invoice"))
                    await until(lambda: calls)
                    tasks.start_soon(feed.follow, group("order", "invoice", "payment"))
                    await anyio.wait_all_tasks_blocked()
                    gate.set()
                await here.send(Address("payment"), "new")
                assert values(await feed.receive(10)) == ["new"]
