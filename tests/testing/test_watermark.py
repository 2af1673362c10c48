"""The watermark's three rules, held against a model that remembers everything."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from busway.testing._watermark import Watermark

__all__ = ["TestWatermark"]


class Model(RuleBasedStateMachine):
    """Offsets with gaps, lent once or again, done in any order, twice, or without being lent."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = Watermark(100)
        self.lent: list[int] = []
        self.done: set[int] = set()
        self.highest = 0

    @rule(gap=st.integers(0, 3))
    def lend_the_next(self, gap: int) -> None:
        offset = (self.lent[-1] + 1 if self.lent else 100) + gap
        self.mark.lend(offset)
        self.lent.append(offset)

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def lend_one_again(self, data: st.DataObject) -> None:
        self.mark.lend(data.draw(st.sampled_from(self.lent)))

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def finish_one(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(self.lent))
        before = self.expected()
        self.done.add(offset)
        assert self.mark.done(offset) == (self.expected() != before)

    @rule(offset=st.integers(0, 130))
    def finish_one_that_was_never_lent(self, offset: int) -> None:
        if offset not in self.lent:
            assert not self.mark.done(offset)

    def expected(self) -> int:
        unfinished = [offset for offset in self.lent if offset not in self.done]
        return min(unfinished, default=self.lent[-1] + 1 if self.lent else 100)

    @invariant()
    def it_is_below_everything_unfinished_and_never_goes_down(self) -> None:
        assert self.mark.position == self.expected()
        assert self.mark.position >= self.highest
        self.highest = self.mark.position


TestWatermark = Model.TestCase
