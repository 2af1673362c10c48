"""The partitions that one member has, from when it is given them to when it has let them go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import anyio

from busway import TransportError
from busway.transport import Address, Group, Purpose

from ._assigning import Claim, Unit
from ._client import Client
from ._committing import Committer
from ._names import Names
from ._notes import Note
from ._offsets import EARLIEST, LATEST, committed, moment_of, offsets_at
from ._options import Options
from ._tenure import Tenure

__all__ = ["Holdings"]

_log = logging.getLogger("busway.kafka")


class Holdings:
    """Of one member. ``changed`` is called when there are others than before."""

    def __init__(
        self,
        client: Client,
        options: Options,
        names: Names,
        group: Group,
        changed: Callable[[], None],
    ) -> None:
        self.group = group
        self.tenures: dict[tuple[str, int], Tenure] = {}
        self.units: dict[Unit, int] = {}
        """Those it has, with the generation at which it was given each."""
        self.generation = -1
        self.committer: Committer
        self.join_again: Callable[[], None] = lambda: None
        self.known: dict[str, tuple[str, ...]] = {}
        """The topics of each channel that this group reads."""
        self._client = client
        self._options = options
        self._names = names
        self._changed = changed
        self.kafka_id = names.group(group.name)
        self._marker = Tenure(names.meta, 0, Address(names.meta), 0, 0, Note(1))
        self._marked = False
        self._dealt: Mapping[str, int] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self._leaving: dict[Unit, asyncio.Task[None]] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    # --- what there is to read

    def look(self) -> bool:
        """See which topics there are now. Whether there are other channels than before, or others
        than were dealt out."""
        found: dict[str, list[str]] = {}
        for topic in self._client.leaders:
            channel = self._read_of(topic)
            if channel is not None:
                found.setdefault(channel, []).append(topic)
        before = self.known
        self.known = {channel: tuple(sorted(topics)) for channel, topics in found.items()}
        return set(before) != set(self.known) or self.widths(self._dealt) != self._dealt

    def dealt(self, widths: Mapping[str, int]) -> None:
        """So wide all channels of the group were when this member dealt them out."""
        self._dealt = widths

    def _read_of(self, topic: str) -> str | None:
        """The channel to which a topic belongs for this group; None: it does not read it."""
        found = self._names.address_of(topic)
        if found is None:
            return None
        address = found[0]
        if address.purpose is Purpose.EVENT:
            channels = self.group.channels
            if not self.group.patterns:
                return None
            if channels is None:
                return self._names.channel_of(topic)
            return address.channel if address.channel in channels else None
        own = address.group == self.group.name and address.purpose is not Purpose.DEAD
        return address.channel if own else None

    # --- as the membership sees it

    def claim(self) -> Claim:
        self._dealt = self.widths(self.known)
        return Claim(
            self.group.member,
            self.group.patterns,
            tuple(sorted(self.known)),
            tuple(self.units),
            self.generation,
        )

    def topics(self) -> list[str]:
        return sorted(topic for topics in self.known.values() for topic in topics)

    def widths(self, channels: Iterable[str]) -> Mapping[str, int]:
        widths = dict.fromkeys(channels, 0)
        for topic in self._client.leaders:
            found = self._names.address_of(topic)
            if found is None or found[0].channel not in widths:
                continue
            address = found[0]
            if address.purpose is Purpose.EVENT or (
                address.group == self.group.name and address.purpose is not Purpose.DEAD
            ):
                width = self._client.partitions(topic)
                widths[address.channel] = max(widths[address.channel], width)
        return widths

    def places(self, units: Iterable[Unit]) -> list[tuple[str, list[int]]]:
        """The partitions of topics that belong to these units."""
        places: dict[str, list[int]] = {}
        for channel, number in units:
            for topic in self.known.get(channel, ()):
                if number < self._client.partitions(topic):
                    places.setdefault(topic, []).append(number)
        return sorted(places.items())

    async def given(self, units: list[Unit], generation: int, alive: float) -> None:
        """This is what it has from now on. Raises TransportError when it cannot be found out how
        far the group is in it."""
        self.generation = generation
        mine = set(units)
        self._let_go_of(unit for unit in self.units if unit not in mine)
        for unit in mine:
            # One that it was about to let go of, and is given back: it has let go of it first.
            if unit not in self._leaving:
                self.units.setdefault(unit, generation)
        await self.open()
        self.alive(alive)
        self._changed()

    def let_go_of_others(self) -> None:
        """Read no more of channels that can hold nothing for this group; what it tries again of
        them it goes on with."""
        self._let_go_of(unit for unit in self.units if unit[0] not in self.known)
        others = [
            tenure
            for tenure in self.tenures.values()
            if not tenure.leaving and tenure.topic not in self.known[tenure.address.channel]
        ]
        if others:
            for tenure in others:
                tenure.revoke()
            task = asyncio.create_task(self._finish(others))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    def _let_go_of(self, units: Iterable[Unit]) -> None:
        for unit in list(units):
            if unit not in self._leaving:
                for tenure in self._of(unit):
                    tenure.revoke()
                self._leaving[unit] = asyncio.create_task(self._let_go(unit))

    async def open(self) -> None:
        """Begin with the partitions that it has and does not read yet."""
        places: dict[str, list[int]] = {}
        for topic, numbers in self.places(u for u in self.units if u not in self._leaving):
            for number in numbers:
                if (topic, number) not in self.tenures:
                    places.setdefault(topic, []).append(number)
        if not self._marked:
            # Kafka forgets a group that has committed nothing when its last member leaves.
            await self.committer.commit([self._marker])
            self._marked = True
        if not places:
            return
        generation = self.generation
        far = await committed(self._client, self.kafka_id, places)
        if generation != self.generation:
            return  # somebody else may have had them meanwhile: what was asked is old
        begun: list[Tenure] = []
        for topic, numbers in places.items():
            found = self._names.address_of(topic)
            assert found is not None
            for number in numbers:
                where = topic, number
                unit = found[0].channel, number
                # Meanwhile it may have been begun with, or have to be let go of.
                if where in self.tenures or unit in self._leaving or unit not in self.units:
                    continue
                offset, text = far.get(where, (self._starts.get(where, 0), ""))
                tenure = Tenure(topic, number, found[0], self.units[unit], offset, Note.of(text))
                self.tenures[where] = tenure
                begun.append(tenure)
        await self.committer.commit(begun)

    def alive(self, since: float) -> None:
        """The broker agrees that it has all this."""
        until = since + self._options.lease
        for tenure in self.tenures.values():
            tenure.loan.until = until

    def expelled(self) -> None:
        """Somebody else has all of it."""
        for tenure in self.tenures.values():
            tenure.end_it()
        self.tenures.clear()
        self.units.clear()
        self.generation = -1
        for task in (*self._leaving.values(), *self._finishing):
            task.cancel()
        self._leaving.clear()
        self._changed()

    # --- letting go

    async def _let_go(self, unit: Unit) -> None:
        """Finish what runs, as far as there is time, commit, and say so."""
        try:
            await self._finish(self._of(unit))
        finally:
            self.units.pop(unit, None)
            self._leaving.pop(unit, None)
            self._changed()
            self.join_again()

    async def _finish(self, tenures: Sequence[Tenure]) -> None:
        """Let what runs of these end, commit, and forget them."""
        try:
            for tenure in tenures:
                tenure.revoke()
            self._changed()
            await self._drained(tenures)
            try:
                await self.committer.commit(tenures)
            except TransportError as error:
                names = ", ".join(f"{t.topic}[{t.number}]" for t in tenures)
                _log.warning("%s: let go without a commit: %s", names, error)
        finally:
            for tenure in tenures:
                tenure.end_it()
                self.tenures.pop((tenure.topic, tenure.number), None)

    async def _drained(self, tenures: Collection[Tenure]) -> None:
        with anyio.move_on_after(self._options.drain):
            for tenure in tenures:
                await tenure.loan.drained()

    def _of(self, unit: Unit) -> list[Tenure]:
        return [t for t in self.tenures.values() if (t.address.channel, t.number) == unit]

    async def close(self) -> None:
        """Commit what is finished; what is lent counts as given back."""
        tasks = [*self._leaving.values(), *self._finishing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tenures = list(self.tenures.values())
        for tenure in tenures:
            tenure.give_all_back()
            tenure.leaving = True
        try:
            await self.committer.commit(tenures)
        except TransportError as error:
            _log.warning("group %r: left without a last commit: %s", self.group.name, error)
        for tenure in tenures:
            tenure.end_it()
        self.tenures.clear()
        self.units.clear()

    # --- where it begins

    async def find_start(self, besides: Collection[str] | None = None) -> None:
        """Where a group that Kafka has never seen begins in what there is now, but for what it read
        already. Raises TransportError."""
        moment = moment_of(self.group.start) if self.group.durable else LATEST
        if moment == EARLIEST:
            return
        if besides is None and self.group.durable and await committed(self._client, self.kafka_id):
            return
        places = {
            topic: list(range(self._client.partitions(topic)))
            for topic in self.topics()
            if topic not in (besides or ()) and self._is_events(topic)
        }
        if places:
            self._starts.update(await offsets_at(self._client, places, moment))

    def _is_events(self, topic: str) -> bool:
        found = self._names.address_of(topic)
        return found is not None and found[0].purpose is Purpose.EVENT
