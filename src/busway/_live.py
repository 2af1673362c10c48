"""Subscriptions on a transport that keeps nothing.

What was asked for and cannot be had is refused by name. What was not asked for is lowered, and said
once: every process gets every event, as if each subscription had said ``broadcast=True``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from ._agreement import Agreement
from ._runtime import Runtime
from ._spec import Options
from ._verdict import Retry
from .errors import MissingPower
from .transport import Live

__all__ = ["Listening", "lower", "refuse"]


class Listening(Protocol):
    """The part of a group that this needs."""

    name: str
    agreement: Agreement


def lower(runtime: Runtime, groups: Iterable[Listening]) -> None:
    """Let these groups ask for no more than a live transport has. On any other nothing is done.

    Raises MissingPower.
    """
    if not isinstance(runtime.transport, Live):
        return
    lowered: list[str] = []
    for group in groups:
        agreement = group.agreement
        if agreement.live or agreement.broadcast:
            agreement.live = True
            continue
        for party in agreement.parties:
            refuse(runtime, party.name, party.options)
        agreement.live = True
        if agreement.parties:
            lowered.append(group.name)
    if lowered:
        runtime.log.warning(
            "%r keeps no events: each process gets every event that is published while it listens, "
            "at most once; retries are made in place and nothing is dead-lettered. This holds for "
            "%s; broadcast=True says that it is meant so",
            runtime.transport,
            ", ".join(sorted(lowered)),
        )


def refuse(runtime: Runtime, name: str, asked: Options) -> None:
    """Raises MissingPower when a subscription asks for what a live transport does not have."""
    missing = None if asked.broadcast else next(_missing(runtime, asked), None)
    if missing is None:
        return
    what, power = missing
    raise MissingPower(
        f"{name}: {what}, and {runtime.transport!r} keeps no events (power: {power}). Use a "
        "transport that keeps them; or say broadcast=True, if each process is to have every event "
        "and what it fails at for good may be dropped"
    )


def _missing(runtime: Runtime, asked: Options) -> Iterator[tuple[str, str]]:
    """What was asked for in vain, and the name of the power."""
    if asked.group is not None:
        yield f"group={asked.group!r} is a group that is kept and shared", "durable groups"
    if asked.start not in (None, "latest"):
        yield f"start={asked.start!r} begins with events that are kept", "history"
    if asked.retry is not None and _longest(asked.retry) > asked.retry.in_place:
        wait, limit = _longest(asked.retry), asked.retry.in_place
        yield f"retry= waits up to {wait:g} s, over in_place={limit:g}", "retries later"
    if runtime.on_dead is not None:
        yield "Bus(on_dead=) hears of dead letters", "dead letters"


def _longest(retry: Retry) -> float:
    """Seconds its longest wait may take."""
    if retry.attempts < 2:
        return 0.0
    backoff = retry.backoff
    return min(backoff.cap, backoff.first * backoff.factor ** min(retry.attempts - 2, 64))
