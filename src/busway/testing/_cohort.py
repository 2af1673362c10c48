"""A consumer group as its coordinator sees it: its members, who has which partition, how far it is.

Everything here changes state without waiting. What must be waited for (that a revoked tenure is
drained) is waited for by the member that wants the partition, in its ``receive``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import anyio

from busway.transport import Address, Group, GroupState, Purpose, Start

from ._records import Log, Place, Shard
from ._tenure import Tenure

__all__ = ["Cohort", "Member"]


class Member(Protocol):
    """What the coordinator knows of a member."""

    group: Group

    def wake(self) -> None:
        """Records or partitions may have come."""
        ...


class Cohort:
    """One group. ``patience`` is how many seconds a revoked partition may go on running."""

    def __init__(self, group: Group, logs: Mapping[Address, Log], patience: float) -> None:
        self.members: list[Member] = []
        self._logs = logs
        self._patience = patience
        self._last = group  # what it listened to when somebody last did
        self._start: Start = group.start if group.durable else "latest"
        self._since = _moment(self._start)
        self._committed: dict[Place, int] = {}
        self._tries: dict[Place, Counter[int]] = {}  # by offset: handed out and not come back
        self._tenures: dict[Place, tuple[Member, Tenure]] = {}
        self._wanted: dict[Place, Member] = {}
        self._fences: dict[Shard, int] = {}

    # --- who is in it

    def join(self, member: Member) -> None:
        self.members.append(member)
        self.balance()

    def leave(self, member: Member, *, politely: bool) -> None:
        """Give back what it had. Politely: as if it had never been handed out."""
        if member not in self.members:
            return
        self.members.remove(member)
        for place in [place for place, (owner, _) in self._tenures.items() if owner is member]:
            self._end(place, forgive=politely)
        self._last = member.group
        self.balance()

    def wants(self, address: Address) -> bool:
        """Whether somebody in it reads this log, or would if anybody were there."""
        groups = [member.group for member in self.members] or [self._last]
        return any(_reads(group, address) for group in groups)

    def balance(self) -> None:
        """Deal the partitions out anew, and revoke those that shall go to somebody else."""
        self._wanted = {}
        for address, log in self._logs.items():
            if not self.wants(address):
                continue
            readers = [member for member in self.members if _reads(member.group, address)]
            for number in range(len(log)):
                place = Place(address, number)
                if place not in self._committed:
                    self._committed[place] = self._beginning(place)
                if readers:
                    self._wanted[place] = readers[number % len(readers)]
        until = anyio.current_time() + self._patience
        for place, (owner, tenure) in self._tenures.items():
            if self._wanted.get(place) is not owner and not tenure.loan.revoked:
                tenure.revoke(until)
        self.wake()

    def wake(self) -> None:
        for member in self.members:
            member.wake()

    # --- who has which partition

    def claim(self, member: Member) -> tuple[Sequence[Tenure], Sequence[Tenure]]:
        """The tenures of a member, and those of others that it waits for."""
        mine: list[Tenure] = []
        others: list[Tenure] = []
        now = anyio.current_time()
        for place, wanted in self._wanted.items():
            if wanted is not member:
                continue
            owner, tenure = self._tenures.get(place, (None, None))
            if tenure is not None and (owner is not member or tenure.loan.revoked):
                if not tenure.over(now):
                    others.append(tenure)
                    continue
                self._end(place, forgive=tenure.loan.running <= 0)
                tenure = None
            mine.append(tenure or self._grant(place, member))
        return mine, others

    def _grant(self, place: Place, member: Member) -> Tenure:
        records = self._logs[place.address][place.partition]
        since = self._since if place.address.purpose is Purpose.EVENT else 0.0
        tenure = Tenure(place, records, self._committed[place], since, self._fence(place, member))
        self._tenures[place] = member, tenure
        return tenure

    def _fence(self, place: Place, member: Member) -> int:
        """Greater than any before, unless this very member has the other half of the shard now."""
        shard = place.shard
        owned = [
            tenure.loan.fence
            for other, (owner, tenure) in self._tenures.items()
            if other.shard == shard and owner is member
        ]
        last = self._fences.get(shard, 0)
        if last not in owned:
            self._fences[shard] = last = last + 1
        return last

    def _end(self, place: Place, *, forgive: bool) -> None:
        _, tenure = self._tenures.pop(place)
        tenure.end()
        if forgive:  # nothing of it was running: no record of it killed anybody
            self._tries.get(place, Counter[int]()).subtract(tenure.lent)

    # --- how far it is

    def handed(self, place: Place, offset: int) -> int:
        """Count a hand-out; returns how many there were."""
        tries = self._tries.setdefault(place, Counter())
        tries[offset] += 1
        return tries[offset]

    def took_back(self, place: Place, offset: int) -> None:
        self._tries[place][offset] -= 1
        self.wake()

    def commit(self, tenure: Tenure) -> None:
        """Only what is done without a gap. A later record that is done is done again by the next
        owner: that is the price of keeping one number per partition."""
        self._committed[tenure.place] = tenure.position

    def finished(self, place: Place, offset: int) -> None:
        self._tries[place].pop(offset, None)

    def rewind(self, to: Start) -> None:
        """Only among the events: what waits to be tried again is no history."""
        self._start, self._since = to, _moment(to)
        for place in self._committed:
            if place.address.purpose is Purpose.EVENT:
                self._committed[place] = self._beginning(place)
                self._tries.pop(place, None)

    def _beginning(self, place: Place) -> int:
        """Where a partition that was never read begins. One that is created while the group exists
        is empty then, so that every start begins with its first record."""
        latest = self._start == "latest" and place.address.purpose is Purpose.EVENT
        return len(self._logs[place.address][place.partition]) if latest else 0

    def state(self, name: str, dead: int) -> GroupState:
        lag = pending = 0
        for place, committed in self._committed.items():
            _, tenure = self._tenures.get(place, (None, None))
            if tenure is None:
                lag += len(self._logs[place.address][place.partition]) - committed
            else:
                lag += tenure.waiting
                pending += len(tenure.lent)
        return GroupState(name, len(self.members), lag, pending, dead=dead)


def _reads(group: Group, address: Address) -> bool:
    if address.purpose is Purpose.EVENT:
        return bool(group.patterns) and (
            group.channels is None or address.channel in group.channels
        )
    return address.purpose is not Purpose.DEAD and address.group == group.name


def _moment(start: Start) -> float:
    return start.timestamp() if isinstance(start, datetime) else 0.0
