"""How many shards each member of a group has, and what is its share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import shuffle

import msgspec

from ._tenure import Shard

__all__ = ["Said", "share_of", "wishes"]


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a member tells the others."""

    has: int = 0
    """Shards whose events it reads."""
    wishes: tuple[str, ...] = ()
    """The leases it would take if their owners gave them up."""


def share_of(member: str, total: int, has: Mapping[str, int]) -> int:
    """How many shards of all a member should have: as many as the others, and of those that are
    left over, one for each of those who have most already, so that nothing moves without need."""
    each, left = divmod(total, len(has))
    ranked = sorted(has, key=lambda name: (-has[name], name))
    return each + (ranked.index(member) < left)


def wishes(wanted: int, total: int, has: Mapping[str, int], held: Iterable[Shard]) -> Sequence[str]:
    """Which shards to ask for: some of those whose owners have more than their share."""
    found: list[str] = []
    surplus = {name: count - share_of(name, total, has) for name, count in has.items()}
    candidates = list(held)
    shuffle(candidates)  # that several who wish do not wish for the same
    for shard in candidates:
        owner = shard.seen or ""
        if len(found) < wanted and surplus.get(owner, 0) > 0:
            surplus[owner] -= 1
            found.append(shard.lease)
    return found
