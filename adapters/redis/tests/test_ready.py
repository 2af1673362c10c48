"""In which order what was fetched is handed out, and for how long a shard is ours."""

from __future__ import annotations

import time

import pytest

from busway import Envelope
from busway.transport import Delivery
from busway_redis._lease import Lease
from busway_redis._ready import Ready
from busway_redis._source import Source

__all__: list[str] = []

SOURCE = Source("busway:{a}", "a", 0, "busway:{a}:retry:g")


def delivery(place: int, *, lane: str | None = "k", delivered: int = 1) -> Delivery:
    envelope = Envelope("a.done", place, "test", 0.0, lane)
    receipt = (SOURCE, b"%d-0" % place, 0.0)
    return Delivery(envelope, "a", lane, 1, delivered, None, None, None, receipt)


def handed_out(ready: Ready) -> list[int]:
    """Everything, as a feed hands it out."""
    found: list[Delivery] = []
    for _ in range(100):
        found += ready.take(10)
        suspect = ready.suspect()
        if suspect is not None:
            ready.remove(suspect)
            found.append(suspect)
        if not ready:
            return [int(each.receipt[1].partition(b"-")[0]) for each in found]
    raise AssertionError("it hands out nothing any more")


@pytest.mark.parametrize("suspects", [(1,), (3,), (5,), (1, 3), (2, 4), (3, 5), (1, 2, 3, 4, 5)])
def test_the_order_of_a_lane_is_that_of_the_stream_whoever_is_suspected(
    suspects: tuple[int, ...],
) -> None:
    ready = Ready()
    ready.taken_over(delivery(n, delivered=1 + (n in suspects)) for n in (4, 1, 3, 5, 2))
    assert handed_out(ready) == [1, 2, 3, 4, 5]


def test_another_lane_waits_behind_no_suspect() -> None:
    ready = Ready()
    ready.taken_over(
        [delivery(1, delivered=2), delivery(2, delivered=2), delivery(3, lane="other")]
    )
    assert handed_out(ready) == [1, 3, 2]


def test_what_has_no_lane_waits_behind_nothing() -> None:
    ready = Ready()
    ready.taken_over([delivery(1, lane=None, delivered=2), delivery(2, lane=None)])
    ready.suspect()
    assert [each.receipt[1] for each in ready.take(10)] == [b"2-0"]


def test_a_lease_that_ended_here_is_not_renewed_by_an_answer_that_comes_late() -> None:
    lease = Lease("lease", "1 whole me", 1)
    assert lease.agreed(time.monotonic(), 60.0)
    assert not lease.ended
    lease.loan.until = time.monotonic()
    assert not lease.agreed(time.monotonic(), 60.0)
    assert lease.ended
