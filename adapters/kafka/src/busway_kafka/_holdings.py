"""The partitions that one member has, from when it is given them to when it has let them go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence

import anyio

from busway import TransportError
from busway.transport import Address

from ._assigning import Claim, Unit
from ._catalogue import Catalogue
from ._client import Client
from ._committing import Committer
from ._names import Names
from ._notes import Note
from ._offsets import committed
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
        catalogue: Catalogue,
        changed: Callable[[], None],
    ) -> None:
        self.tenures: dict[tuple[str, int], Tenure] = {}
        self.units: dict[Unit, int] = {}
        """Those it has, with the generation at which it was given each."""
        self.generation = -1
        self.committer: Committer
        self.join_again: Callable[[], None] = lambda: None
        self._client = client
        self._options = options
        self._names = names
        self._catalogue = catalogue
        self._changed = changed
        self._marker = Tenure(names.meta, 0, Address(names.meta), 0, 0, Note(1))
        self._marked = False
        self._until: float | None = None
        """The moment (``time.monotonic``) up to which the broker agreed that it has all this."""
        self._closing = False
        self._leaving: dict[Unit, asyncio.Task[None]] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    # --- as the membership sees it

    def claim(self) -> Claim:
        group = self._catalogue.group
        return Claim(
            group.member,
            group.patterns,
            self._catalogue.claimed(),
            tuple(self.units),
            self.generation,
        )

    def heard(self, generation: int) -> None:
        """It is a member, and has been given nothing of this generation: its claim differs from
        all before."""
        self.generation = generation

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
        self.alive(alive)
        await self.open()
        self._changed()

    def let_go_of_others(self) -> None:
        """Read no more of channels that can hold nothing for this group; what it tries again of
        them it goes on with."""
        known = self._catalogue.known
        self._let_go_of(unit for unit in self.units if unit[0] not in known)
        others = [
            tenure
            for tenure in self.tenures.values()
            if not tenure.leaving and tenure.topic not in known[tenure.address.channel]
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
        for topic, numbers in self._catalogue.places(
            u for u in self.units if u not in self._leaving
        ):
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
        far = await committed(self._client, self._catalogue.kafka_id, places)
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
                offset, text = far.get(where, (self._catalogue.start_of(*where), ""))
                tenure = Tenure(topic, number, found[0], self.units[unit], offset, Note.of(text))
                tenure.loan.until = self._until
                self.tenures[where] = tenure
                begun.append(tenure)
        await self.committer.commit(begun)

    def alive(self, since: float) -> None:
        """The broker agrees that it has all this."""
        self._until = since + self._options.lease
        for tenure in self.tenures.values():
            tenure.loan.until = self._until

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
            self._leaving.pop(unit, None)
            if not self._closing:  # else it has the unit until all is committed
                self.units.pop(unit, None)
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
            if not self._closing:  # else they are committed with all the others
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
        self._closing = True
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
            name = self._catalogue.group.name
            _log.warning("group %r: left without a last commit: %s", name, error)
        for tenure in tenures:
            tenure.end_it()
        self.tenures.clear()
        self.units.clear()
