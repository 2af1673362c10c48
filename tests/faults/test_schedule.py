"""The schedule is a function of its seed."""

from __future__ import annotations

from collections import Counter

from tests.faults._schedule import DECK, KAFKA_DECK, schedule, without

__all__: list[str] = []

LEASE = 3.0


def test_the_same_seed_is_the_same_schedule() -> None:
    one, again, other = (schedule(seed, 300, LEASE) for seed in (7, 7, 8))
    assert one == again
    assert one != other


def test_a_quarter_of_an_hour_has_the_kills_and_the_interruptions_that_are_asked_for() -> None:
    """At least 100 kills and 20 server restarts or cuts, with five consumers."""
    for seed in range(50):
        kinds = Counter(each.kind for each in schedule(seed, 900, LEASE))
        assert kinds["kill"] + kinds["kill-producer"] + 5 * kinds["massacre"] >= 130
        assert kinds["restart"] + kinds["cut"] >= 40
        assert min(kinds["term"], kinds["stop"], kinds["stall"], kinds["restart"]) >= 9


def test_a_stop_is_longer_than_the_lease() -> None:
    stops = [each.lasts for each in schedule(1, 3600, LEASE) if each.kind == "stop"]
    assert min(stops) > LEASE


def test_both_ways_to_write_a_log_to_disk_are_killed() -> None:
    planned = schedule(1, 900, LEASE, details=("always", "everysec"))
    assert {each.detail for each in planned if each.kind == "restart"} == {"always", "everysec"}


def test_what_cannot_be_done_to_a_broker_is_done_to_processes() -> None:
    deck = without(DECK, "cut", "stall", "restart")
    assert sum(deck.values()) == sum(DECK.values())
    kinds = {each.kind for each in schedule(3, 900, LEASE, deck=deck)}
    assert not kinds & {"cut", "stall", "restart"}
    assert kinds >= {"kill", "stop", "term"}


def test_a_quarter_of_an_hour_over_kafka_restarts_brokers_in_both_ways() -> None:
    """At least 100 kills, and more than 10 restarts of a broker; a roll is three."""
    for seed in range(50):
        planned = schedule(seed, 900, LEASE, deck=KAFKA_DECK, details=("1", "2", "3"))
        kinds = Counter(each.kind for each in planned)
        assert kinds["kill"] + kinds["kill-producer"] + 5 * kinds["massacre"] >= 100
        assert kinds["restart"] >= 10
        assert kinds["roll"] >= 5
        assert {each.detail for each in planned if each.kind == "restart"} == {"1", "2", "3"}
