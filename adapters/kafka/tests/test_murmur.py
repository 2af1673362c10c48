"""A key lies in the partition in which the Java client puts it."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from busway_kafka._murmur import murmur2, partition_of


# From org.apache.kafka.common.utils.UtilsTest, whose numbers have a sign.
@pytest.mark.parametrize(
    ("key", "number"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_java_clients_own_examples(key: bytes, number: int) -> None:
    assert murmur2(key) == number & 0xFFFFFFFF


@given(st.binary(max_size=200))
def test_it_is_what_aiokafka_has(key: bytes) -> None:
    assert murmur2(key) == theirs(key)


@given(st.binary(max_size=40), st.integers(1, 1_000))
def test_the_partition_is_that_of_the_java_client(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (theirs(key) & 0x7FFFFFFF) % partitions
