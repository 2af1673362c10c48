"""What a bus says about itself: numbers, and who listens to what."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ._group import GroupRunner
from ._runtime import Counters
from .transport import Reports, Transport

__all__ = ["GroupStats", "HandlerInfo", "Stats", "Topology", "stats_of", "topology_of"]


class GroupStats(msgspec.Struct, frozen=True):
    """One group in this process, now."""

    name: str
    open: bool
    """Whether it receives."""
    paused: bool
    in_flight: int
    """Deliveries received and not settled."""
    waiting: int
    """Those of them that wait for their next attempt or their time."""


class Stats(msgspec.Struct, frozen=True):
    """Counts since the bus was made, and its groups now."""

    state: str
    published: int
    publish_failed: int
    """Not sent."""
    publish_unknown: int
    """May have been written."""
    handled: int
    failed: int
    """Attempts that raised."""
    retried: int
    dead: int
    """Dead letters written."""
    dropped: int
    """Given up without a dead letter: emit's overflow, late replies, failed broadcasts, and what a
    relay did not send to where it had been."""
    unmatched: int
    """Received and acknowledged because no pattern of the group matched."""
    lost: int
    """Loans that ended before they were acknowledged: those events came again."""
    groups: tuple[GroupStats, ...]
    transport: Mapping[str, int] = {}
    """What only the transport can count, by names that it documents; may be empty."""


class HandlerInfo(msgspec.Struct, frozen=True):
    """Who handles what."""

    group: str
    handler: str
    patterns: tuple[str, ...]
    channels: tuple[str, ...] | None
    """The channels that its group's topics can lie in; None when that cannot be told."""
    concurrency: int
    broadcast: bool


class Topology(msgspec.Struct, frozen=True):
    """Every subscription of this bus."""

    service: str
    handlers: tuple[HandlerInfo, ...]


def stats_of(
    state: str, counters: Counters, runners: list[GroupRunner], transport: Transport
) -> Stats:
    return Stats(
        state=state,
        **{name: getattr(counters, name) for name in Counters.__slots__},
        groups=tuple(_group(runner) for runner in runners),
        transport=dict(transport.report()) if isinstance(transport, Reports) else {},
    )


def _group(runner: GroupRunner) -> GroupStats:
    consumer = runner.consumer
    if consumer is None:
        return GroupStats(runner.name, False, runner.paused, 0, 0)
    waiting = sum(1 for _ in consumer.keeper.waiting())
    return GroupStats(runner.name, True, runner.paused, consumer.crew.lanes.held, waiting)


def topology_of(service: str, runners: list[GroupRunner]) -> Topology:
    found: list[HandlerInfo] = []
    for runner in runners:
        group, policy = runner.group, runner.agreement.policy
        channels = None if group.channels is None else tuple(sorted(group.channels))
        for one in runner.subscriptions:
            found.append(
                HandlerInfo(
                    runner.name,
                    one.name,
                    one.patterns,
                    channels,
                    policy.concurrency,
                    policy.broadcast,
                )
            )
    return Topology(service, tuple(found))
