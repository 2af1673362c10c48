"""Whatever happens to the owners of a partition, nothing of it is forgotten."""

from __future__ import annotations

from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from busway_kafka._notes import Note
from busway_kafka._tenure import Tenure
from busway_kafka._wire import read

from .records import Fetched, owner

__all__: list[str] = []

WHAT = read(None, b"{", [])


class Partition(RuleBasedStateMachine):
    """A log with gaps, a broker that keeps what is committed, and one owner after another."""

    @initialize(gaps=strategies.lists(strategies.integers(1, 4), min_size=1, max_size=60))
    def begin(self, gaps: list[int]) -> None:
        offset = -1
        self.log: list[int] = []
        for gap in gaps:
            offset += gap
            self.log.append(offset)
        self.position, self.text = 0, ""
        self.finished: set[int] = set()
        self.told: set[int] = set()
        """Finished, and a commit has said so."""
        self.handed: set[int] = set()
        """Handed out by who crashed, or perhaps: and nobody has finished it since."""
        self.generation = 0
        self.take_over()

    def take_over(self) -> None:
        self.generation += 1
        self.tenure: Tenure = owner(self.position, self.text)
        self.tenure.fence = self.generation
        self.lent: set[int] = set()
        self.mine: set[int] = set()
        note = Note.of(self.text)
        below = self.position + note.handed if note.handed else 0
        self.expected = {n for n in self.handed if n >= self.position} - self.told
        assert all(n < below for n in self.expected), "what a crash may have begun is suspect"

    # --- what an owner does

    @rule(count=strategies.integers(1, 12), beyond=strategies.integers(0, 2))
    def fetch(self, count: int, beyond: int) -> None:
        found = [n for n in self.log if n >= self.tenure.next][:count]
        if found:
            after = found[-1] + 1
            after += beyond if not any(after <= n < after + beyond for n in self.log) else 0
            self.tenure.add([Fetched(n) for n in found], after)

    @rule(count=strategies.integers(1, 5))
    def take(self, count: int) -> None:
        for _ in range(count):
            suspect = self.tenure.suspects
            taken = self.tenure.take()
            if taken is None:
                self.commit()
                continue
            offset = taken[0]
            assert offset < self.tenure.reserved, "the broker has heard of it before"
            assert offset not in self.lent, "it is lent once at a time"
            assert offset not in self.finished or offset not in self.told, "done is done"
            assert suspect or offset not in self.expected, "it is known to be a suspect"
            self.lent.add(offset)
            self.mine.add(offset)

    @rule(count=strategies.integers(1, 8))
    def take_together(self, count: int) -> None:
        if self.tenure.suspects:
            return
        for offset in [record.offset for record in self.tenure.take_new(count)]:
            assert offset < self.tenure.reserved, "the broker has heard of it before"
            assert offset not in self.lent, "it is lent once at a time"
            assert offset not in self.finished or offset not in self.told, "done is done"
            assert offset not in self.expected, "it is known to be a suspect"
            self.lent.add(offset)
            self.mine.add(offset)

    @precondition(lambda self: self.lent)
    @rule(data=strategies.data())
    def finish_together(self, data: strategies.DataObject) -> None:
        some = strategies.lists(strategies.sampled_from(sorted(self.lent)), unique=True)
        offsets = data.draw(some)
        late = sorted(self.finished - self.lent)[:1]
        assert list(self.tenure.finish([*late, *offsets])) == late
        self.lent.difference_update(offsets)
        self.finished.update(offsets)

    @precondition(lambda self: self.lent)
    @rule(data=strategies.data())
    def finish(self, data: strategies.DataObject) -> None:
        offset = data.draw(strategies.sampled_from(sorted(self.lent)))
        assert self.tenure.done(offset)
        self.lent.discard(offset)
        self.finished.add(offset)

    @precondition(lambda self: self.lent)
    @rule(data=strategies.data())
    def give_back(self, data: strategies.DataObject) -> None:
        offset = data.draw(strategies.sampled_from(sorted(self.lent)))
        assert self.tenure.give_back(offset, WHAT)
        self.lent.discard(offset)

    @rule()
    def commit(self) -> None:
        handed = max(self.tenure.asked, self.tenure.reserved)
        self.hear(*self.tenure.note(handed=handed))
        self.tenure.reserved = max(self.tenure.reserved, handed)

    def hear(self, position: int, text: str) -> None:
        assert position >= self.position, "nothing is committed backward"
        skipped = [n for n in self.log if n < position and n not in self.finished]
        assert skipped == [], "nothing is committed past what is not finished"
        note = Note.of(text)
        for n in self.log:
            if n >= position and note.is_done(n - position):
                assert n in self.finished, "no note says of anything that it is done and is not"
        said = {n for n in self.log if n < position or note.is_done(n - position)}
        assert self.told <= said, "what a commit has said is not forgotten by the next"
        self.position, self.text, self.told = position, text, said

    # --- how it ends

    @rule()
    def crash(self) -> None:
        self.handed |= self.mine
        self.tenure.end_it()
        for offset in self.lent:
            assert not self.tenure.done(offset), "nothing counts after the end"
        self.take_over()

    @rule()
    def leave(self) -> None:
        """In good order: what is lent came back, unbegun."""
        for offset in sorted(self.lent):
            assert self.tenure.give_back(offset, WHAT)
        self.tenure.revoke()
        before = self.expected - self.finished
        self.hear(*self.tenure.note(handed=0))
        self.tenure.end_it()
        # What was suspect is so still, and nothing has become so.
        self.handed = {n for n in self.handed | self.mine if n in before}
        suspects_before = self.tenure.suspect_below
        self.take_over()
        assert self.tenure.suspect_below <= max(suspects_before, 0), "nothing else is suspect"

    @invariant()
    def never_handed_out_is_no_suspect(self) -> None:
        if hasattr(self, "tenure"):
            assert self.tenure.suspect_below <= self.most_reserved()

    def most_reserved(self) -> int:
        self.reserved = max(getattr(self, "reserved", 0), self.tenure.reserved, self.tenure.asked)
        return self.reserved

    def teardown(self) -> None:
        """The last owner gets all that is left."""
        if not hasattr(self, "tenure"):
            return
        self.crash()
        self.fetch(len(self.log), 0)
        for _ in range(2 * len(self.log)):
            self.take(1)
        assert self.lent == {n for n in self.log if n not in self.told}


TestPartition = Partition.TestCase
TestPartition.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
