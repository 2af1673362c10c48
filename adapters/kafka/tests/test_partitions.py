"""How much a producer remembers of where it has written."""

from __future__ import annotations

from busway_kafka._batch import Entry
from busway_kafka._partitions import Partitions

__all__: list[str] = []


def entry(number: int) -> Entry:
    return Entry("flights", number, None, b"", [])


def written_to(partitions: Partitions, number: int, identity: tuple[int, int]) -> None:
    partitions.put(entry(number))
    [partition] = partitions.ready
    partition.identity, partition.sequence = identity, 1
    partition.waiting.clear()
    partitions.ready.clear()


def test_no_more_than_so_many_partitions_are_remembered() -> None:
    partitions = Partitions(kept=3)
    for number in range(100):
        written_to(partitions, number, (1, 0))
        assert len(partitions) <= 3


def test_what_was_forgotten_is_written_to_as_another_producer() -> None:
    """As the same one it would begin at a number that the broker has seen."""
    partitions = Partitions(kept=1)
    partitions.identity = (1, 0)
    written_to(partitions, 0, (1, 0))
    written_to(partitions, 1, (1, 0))
    assert partitions.identity is None


def test_what_has_something_to_write_is_not_forgotten() -> None:
    partitions = Partitions(kept=1)
    for number in range(3):
        partitions.put(entry(number))
    assert [partition.number for partition in partitions.ready] == [0, 1, 2]
    for partition in list(partitions.ready):
        partitions.put(entry(partition.number))
    assert [len(partition.waiting) for partition in partitions.ready] == [2, 2, 2]
