"""What a broker sends, as records."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import KafkaError

from busway_kafka._fetching import records_in

from .records import batch

__all__: list[str] = []

TRANSACTION, CONTROL = 0x10, 0x20


def transaction(base: int, values: list[bytes], producer: int = 7) -> bytes:
    return batch(base, values, producer, attributes=TRANSACTION)


def marker(base: int, *, commit: bool, producer: int = 7) -> bytes:
    key = b"\0\0\0\1" if commit else b"\0\0\0\0"
    return batch(base, [b""], producer, attributes=TRANSACTION | CONTROL, key=key)


def values(found: list[Any]) -> list[tuple[int, bytes]]:
    return [(each.offset, each.value) for each in found]


def test_records_come_with_the_offset_behind_them() -> None:
    found, after = records_in(batch(5, [b"a", b"b"]) + batch(9, [b"c"]), 5, ())
    assert values(found) == [(5, b"a"), (6, b"b"), (9, b"c")]
    assert after == 10


def test_what_lies_before_the_offset_that_was_asked_for_is_left_out() -> None:
    found, after = records_in(batch(5, [b"a", b"b", b"c"]), 7, ())
    assert values(found) == [(7, b"c")]
    assert after == 8


def test_control_records_are_passed_over_and_gone_beyond() -> None:
    found, after = records_in(transaction(0, [b"a"]) + marker(1, commit=True), 0, ())
    assert values(found) == [(0, b"a")]
    assert after == 2


def test_what_a_transaction_took_back_is_left_out() -> None:
    data = transaction(0, [b"a", b"b"]) + batch(2, [b"c"]) + marker(3, commit=False)
    found, after = records_in(data + transaction(4, [b"d"]), 0, [(7, 0)])
    assert values(found) == [(2, b"c"), (4, b"d")]
    assert after == 5


def test_only_what_that_producer_wrote_is_taken_back() -> None:
    data = transaction(0, [b"a"], 7) + transaction(1, [b"b"], 8) + marker(2, commit=False)
    found, _ = records_in(data, 0, [(7, 0)])
    assert values(found) == [(1, b"b")]


def test_a_batch_that_was_cut_is_asked_for_again() -> None:
    whole = batch(0, [b"a"])
    found, after = records_in(whole + batch(1, [b"b"])[:-3], 0, ())
    assert values(found) == [(0, b"a")]
    assert after == 1


@pytest.mark.parametrize("place", [17, 21, 40, -1])
def test_damaged_bytes_are_an_error(place: int) -> None:
    damaged = bytearray(batch(0, [b"a", b"b"]))
    damaged[place] ^= 0x55
    with pytest.raises(KafkaError):
        records_in(bytes(damaged), 0, ())
