"""What is still open in a bus, said in words."""

from __future__ import annotations

from collections.abc import Iterator

from busway import Bus, Envelope, GroupStats
from busway.middleware import Received, Retried
from busway.transport import GroupState, ManagesGroups, Raw, SystemClock

__all__ = ["NotSettled", "Unsettled"]

_SHOWN = 5


class NotSettled(TimeoutError):
    """Raised by ``captured.settled()`` when something is still open; its text says what."""


class Unsettled:
    """The deliveries that were received and are not settled yet."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._open: dict[tuple[str, str], Received | Retried] = {}

    def begins(self, received: Received) -> None:
        self._open[received.group, _name(received.content)] = received

    def waits(self, retried: Retried) -> None:
        self._open[retried.group, _name(retried.envelope)] = retried

    def ends(self, group: str, content: Envelope | Raw) -> None:
        self._open.pop((group, _name(content)), None)

    async def report(self, seconds: float) -> str:
        """What keeps the bus from being settled, one line for each group and event."""
        transport = self._bus.transport
        states = await transport.groups() if isinstance(transport, ManagesGroups) else ()
        lines = [f"not settled after {seconds:g} s. Still open:"]
        for group in self._bus.stats().groups:
            state = next((each for each in states if each.name == group.name), None)
            lines.extend(self._group(group, state))
        if len(lines) == 1:
            lines.append("  nothing any more: it took a little longer than that")
        if any("their time" in each for each in lines) and isinstance(self._bus.clock, SystemClock):
            lines.append("With Bus(clock=VirtualClock()) nobody has to wait for what is due later.")
        return "\n".join(lines)

    def _group(self, stats: GroupStats, state: GroupState | None) -> Iterator[str]:
        lag = 0 if state is None else state.lag or 0
        delayed = 0 if state is None else state.delayed or 0
        if not (stats.in_flight or lag or delayed):
            return
        counted = {
            "to be received": lag,
            "running or waiting for their turn": stats.in_flight - stats.waiting,
            "waiting for their time": stats.waiting + delayed,
        }
        said = ", ".join(f"{count} {what}" for what, count in counted.items() if count)
        yield f"  group {stats.name!r}{' (paused)' if stats.paused else ''}: {said}"
        known = [each for (group, _), each in self._open.items() if group == stats.name]
        for each in known[:_SHOWN]:
            yield f"    {_describe(each)}"
        if len(known) > _SHOWN:
            yield f"    and {len(known) - _SHOWN} more"


def _name(content: Envelope | Raw) -> str:
    return content.id if isinstance(content, Envelope) else f"raw {id(content)}"


def _describe(one: Received | Retried) -> str:
    if isinstance(one, Retried):
        error = f"{type(one.error).__name__}: {one.error}"
        return (
            f"{_title(one.envelope)}: attempt {one.attempt} failed ({error}), the next was due "
            f"{one.after:g} s later"
        )
    return f"{_title(one.content)}: attempt {one.attempt} runs or waits for its turn"


def _title(content: Envelope | Raw) -> str:
    if isinstance(content, Raw):
        return "bytes that are no envelope"
    key = "" if content.subject is None else f" of key {content.subject!r}"
    return f"{content.type}{key}"
