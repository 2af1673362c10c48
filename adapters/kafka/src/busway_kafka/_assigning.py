"""Who gets which partition: decided by the member that leads the group, from what all of them say.

A *unit* is a channel and the number of a partition: the channel's events of that number, and what
the group tries again of them. A unit that moves is first withheld: its owner finishes what runs,
commits, and says at the next joining that it owns it no more. The others go on working meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["Claim", "Unit", "assigned"]

Unit = tuple[str, int]


class Claim(msgspec.Struct, frozen=True):
    """What a member says of itself when it joins."""

    member: str = ""
    patterns: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    """Those it reads."""
    owned: tuple[Unit, ...] = ()
    generation: int = -1
    """Of the group, when it was given what it owns."""

    def data(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def of(cls, data: bytes | None) -> Claim:
        """Of a client that is not ours: nothing."""
        try:
            return msgspec.json.decode(data or b"{}", type=cls)
        except msgspec.MsgspecError:
            return cls()


def assigned(
    claims: Mapping[str, Claim],
    widths: Mapping[str, int],
    events: Mapping[str, int] | None = None,
) -> dict[str, list[Unit]]:
    """The units of each member, by its id; ``widths``: how many partitions a channel has, and
    ``events``: how many of them hold events, and not only what is tried again (None: all).

    As even as their channels allow, those with events first, moving as little as possible. A unit
    that is to move and whose owner is there belongs to nobody this time.
    """
    owners = _owners(claims)
    wanted = _wanted(claims, widths, owners, widths if events is None else events)
    plan: dict[str, list[Unit]] = {member: [] for member in claims}
    for unit, member in wanted.items():
        if owners.get(unit, member) == member:
            plan[member].append(unit)
    return plan


def _owners(claims: Mapping[str, Claim]) -> dict[Unit, str]:
    """Who has what now. Of two that say so, the later one: the other was only slow."""
    owners: dict[Unit, tuple[int, str]] = {}
    for member, claim in claims.items():
        for unit in claim.owned:
            mine = claim.generation, member
            owners[unit] = max(owners.get(unit, mine), mine)
    return {unit: member for unit, (_, member) in owners.items()}


def _wanted(
    claims: Mapping[str, Claim],
    widths: Mapping[str, int],
    owners: Mapping[Unit, str],
    events: Mapping[str, int],
) -> dict[Unit, str]:
    load = dict.fromkeys(claims, 0)
    readers = {
        channel: [member for member, claim in claims.items() if channel in claim.channels]
        for channel in widths
    }
    all_of_them = [(c, number) for c, width in widths.items() for number in range(width)]
    wanted: dict[Unit, str] = {}
    # Who had a share of what is tried again alone would stand idle, where another has too much.
    for busy in (True, False):
        some = [unit for unit in all_of_them if (unit[1] < events.get(unit[0], 0)) == busy]
        wanted |= _dealt(some, owners, readers, load)
    return wanted


def _dealt(
    units: Sequence[Unit],
    owners: Mapping[Unit, str],
    readers: Mapping[str, Sequence[str]],
    load: dict[str, int],
) -> dict[Unit, str]:
    """To whoever has it, and then to who has least."""
    dealt: dict[Unit, str] = {}
    free: list[Unit] = []
    for unit in units:
        owner = owners.get(unit)
        if owner is not None and owner in readers[unit[0]]:
            dealt[unit] = owner
            load[owner] += 1
        elif readers[unit[0]]:
            free.append(unit)
    for unit in free:
        member = min(readers[unit[0]], key=lambda each: (load[each], each))
        dealt[unit] = member
        load[member] += 1
    _even_out(dealt, readers, load)
    return dealt


def _even_out(
    wanted: dict[Unit, str], readers: Mapping[str, Sequence[str]], load: dict[str, int]
) -> None:
    """Move one after another from who has most, while that makes it more even."""
    moved = True
    while moved:
        moved = False
        # The last first: so it is told which ones move, whoever asks.
        for unit in reversed(wanted):
            member = wanted[unit]
            lightest = min(readers[unit[0]], key=lambda each: (load[each], each))
            if load[member] - load[lightest] > 1:
                wanted[unit] = lightest
                load[member] -= 1
                load[lightest] += 1
                moved = True
