"""Order and room, as a model that hypothesis drives: workers, waits and withdrawals."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from busway._lanes import Lanes
from busway.message import Envelope
from busway.transport import Delivery

BOUND = 12


def deliver(lane: str | None, number: int = 0) -> Delivery:
    return Delivery(Envelope("t", number), "c", lane)


class LanesModel(RuleBasedStateMachine):
    """What workers, the keeper and a stop may do to lanes, in any order."""

    @initialize(concurrency=st.integers(1, 4))
    def start(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.lanes = Lanes(concurrency, BOUND)
        self.lanes.window = BOUND
        self.sent = 0
        self.workers: dict[int, Delivery] = {}
        self.retrying: list[Delivery] = []
        self.early: list[Delivery] = []
        self.due: set[Delivery] = set()
        self.finished: list[Delivery] = []
        self.withdrawn: list[Delivery] = []
        self.arrived: list[Delivery] = []
        self.shut = False

    # --- what can happen

    @rule(lanes=st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=4))
    def receive(self, lanes: list[str | None]) -> None:
        room = self.lanes.room()
        batch = []
        for lane in lanes[: max(0, room)]:
            self.sent += 1
            batch.append(deliver(lane, self.sent))
        self.arrived.extend(batch)
        self.lanes.put(batch)

    @property
    def running(self) -> list[Delivery]:
        return list(self.workers.values())

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        idle = [w for w in range(self.concurrency) if w not in self.workers]
        if idle:
            self.begin(data.draw(st.sampled_from(idle)), None)

    def begin(self, worker: int, following: Delivery | None) -> None:
        """As a worker does: go on in the lane, else look for something else."""
        delivery = following or self.lanes.take(worker)
        if delivery is not None:
            assert not self.shut, "started while shut"
            self.check_order(delivery)
            self.workers[worker] = delivery

    def check_order(self, delivery: Delivery) -> None:
        """Nothing of the lane runs or came earlier and still waits."""
        if delivery.lane is None:
            return
        assert all(other.lane != delivery.lane for other in self.running)
        unfinished = self.held() - {delivery} - set(self.early)
        late = delivery in self.due
        earlier = [
            d
            for d in unfinished
            if d.lane == delivery.lane
            and d.content.data < delivery.content.data
            and d not in self.due
        ]
        assert late or not earlier, f"{delivery} started before {earlier}"

    def held(self) -> set[Delivery]:
        return set(self.arrived) - set(self.finished) - set(self.withdrawn)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        delivery = self.workers.pop(worker)
        self.finished.append(delivery)
        self.lanes.settled(1)
        self.begin(worker, self.lanes.after(delivery))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        delivery = self.workers.pop(worker)
        self.retrying.append(delivery)
        self.lanes.close(delivery)
        self.begin(worker, None)

    @precondition(lambda self: self.retrying)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        self.lanes.resume(self.pick(data, self.retrying))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def park_early(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        delivery = self.workers.pop(worker)
        self.early.append(delivery)
        self.begin(worker, self.lanes.park(delivery))

    @precondition(lambda self: self.early)
    @rule(data=st.data())
    def become_due(self, data: st.DataObject) -> None:
        delivery = self.pick(data, self.early)
        self.due.add(delivery)
        self.lanes.unpark()
        self.lanes.ready.append(delivery)

    @rule(lane=st.sampled_from(["a", "b"]))
    def withdraw_some(self, lane: str) -> None:
        self.gone(self.lanes.withdraw(lambda d: d.lane == lane and d.content.data % 2 == 0))

    @rule()
    def take_back_all(self) -> None:
        waiting = [d for d in self.held() if d not in self.running]
        back = self.lanes.withdraw(lambda _: True)
        for delivery in self.retrying:
            self.lanes.reopen(delivery)
        for _ in self.early:
            self.lanes.unpark()
        back = [*self.retrying, *back, *self.early]
        self.due.update(self.early)
        self.retrying, self.early = [], []
        self.gone(back)
        assert set(back) == set(waiting)
        assert list(self.lanes.waiting()) == []

    def gone(self, deliveries: list[Delivery]) -> None:
        assert len(set(deliveries)) == len(deliveries)
        assert not set(deliveries) & set(self.running)
        by_lane = defaultdict(list)
        for delivery in deliveries:
            if delivery.lane is not None and delivery not in self.due | set(self.early):
                by_lane[delivery.lane].append(delivery.content.data)
        for numbers in by_lane.values():
            assert numbers == sorted(numbers), f"given back out of order: {numbers}"
        self.withdrawn.extend(deliveries)
        self.lanes.settled(len(deliveries))

    @rule()
    def shut_or_open(self) -> None:
        self.shut = not self.shut
        self.lanes.shut(self.shut)

    def pick(self, data: st.DataObject, among: list[Delivery]) -> Delivery:
        return among.pop(data.draw(st.integers(0, len(among) - 1)))

    # --- what holds always

    @invariant()
    def never_holds_more_than_the_bound(self) -> None:
        assert self.lanes.held <= BOUND

    @invariant()
    def counts_what_is_held(self) -> None:
        assert self.lanes.held == len(self.held())

    @invariant()
    def loses_and_doubles_nothing(self) -> None:
        waiting = list(self.lanes.waiting())
        assert len(set(waiting)) == len(waiting)
        known = {*waiting, *self.running, *self.retrying, *self.early}
        assert known == self.held()

    @invariant()
    def room_counts_everything_that_can_run(self) -> None:
        parked = self.lanes._parked
        assert 0 <= parked <= self.lanes.held
        assert self.lanes.room() <= BOUND - self.lanes.held

    def teardown(self) -> None:
        if not hasattr(self, "lanes"):
            return
        # Whatever happened, all that is left can be finished, and then everything is open.
        self.shut = False
        self.lanes.shut(False)
        for delivery in self.retrying:
            self.lanes.resume(delivery)
        for delivery in self.early:
            self.lanes.unpark()
            self.due.add(delivery)
            self.lanes.ready.append(delivery)
        self.retrying, self.early = [], []
        for _ in range(10 * BOUND):
            while self.workers:
                worker, delivery = self.workers.popitem()
                self.finished.append(delivery)
                self.lanes.settled(1)
                self.begin(worker, self.lanes.after(delivery))
            self.begin(0, None)
        assert self.lanes.held == 0
        assert self.lanes._parked == 0
        assert not self.lanes._closed


TestLanesModel = LanesModel.TestCase
TestLanesModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_lane_is_closed_while_one_of_it_runs_beside_others() -> None:
    lanes = Lanes(2, 10)
    one, two, other = deliver("a", 1), deliver("a", 2), deliver("b", 3)
    lanes.put([one, two, other])
    assert lanes.take("A") is one
    assert lanes.take("B") is other
    assert lanes.take("C") is None
    assert lanes.after(one) is two


def test_what_waits_for_its_next_attempt_goes_before_what_is_parked_behind_it() -> None:
    lanes = Lanes(1, 10)
    one, two = deliver("a", 1), deliver("a", 2)
    lanes.put([one, two])
    assert lanes.take("A") is one
    lanes.close(one)
    assert lanes.take("A") is None
    lanes.resume(one)
    assert lanes.take("A") is one
    assert lanes.after(one) is two


def test_while_shut_nothing_starts_and_afterwards_the_order_is_as_before() -> None:
    lanes = Lanes(2, 10)
    one, two, three = deliver("a", 1), deliver("a", 2), deliver("a", 3)
    lanes.put([one, two, three])
    assert lanes.take("A") is one
    assert lanes.take("B") is None
    lanes.shut(True)
    assert lanes.after(one) is None
    assert lanes.take("A") is None
    lanes.shut(False)
    assert lanes.take("A") is two
    assert lanes.after(two) is three


def test_no_lane_binds_nothing() -> None:
    lanes = Lanes(2, 10)
    one, two = deliver(None, 1), deliver(None, 2)
    lanes.put([one, two])
    assert lanes.take("A") is one
    assert lanes.take("B") is two


def test_a_hot_lane_does_not_keep_others_from_being_fetched() -> None:
    lanes = Lanes(2, 100)
    lanes.put([deliver("hot", n) for n in range(10)])
    lanes.take("A")
    lanes.take("B")
    assert lanes.room() >= 1


def test_the_window_follows_the_pace_and_never_the_bound_beyond() -> None:
    lanes = Lanes(2, 50)
    for _ in range(10):
        lanes.measured(1000, 0.01)
    assert lanes.window == 50
    lanes.measured(1, 100.0)
    assert lanes.window == 2
