"""What a URL says about where faults can be put."""

from __future__ import annotations

import pytest

from tests.faults._broker import behind, lease_of, shards_of, target_of, unsure_of

__all__: list[str] = []


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://localhost", ("localhost", 6379)),
        ("redis://user:pass@10.0.0.1:7000/2?lease=3s", ("10.0.0.1", 7000)),
        ("postgresql://db:5432/app", ("db", 5432)),
        ("redis+cluster://a:1,b:2", None),
        ("sqlite:///tmp/app.db", None),
        ("unix:///run/redis.sock", None),
        ("memory://", None),
    ],
)
def test_a_proxy_can_stand_before_one_host_and_port(
    url: str, target: tuple[str, int] | None
) -> None:
    assert target_of(url) == target


def test_behind_a_proxy_a_url_keeps_everything_else() -> None:
    assert (
        behind("redis://user:p%40ss@10.0.0.1:7000/2?lease=3s", 9)
        == "redis://user:p%40ss@127.0.0.1:9/2?lease=3s"
    )


@pytest.mark.parametrize(
    ("url", "seconds"),
    [
        ("redis://x?lease=3s", 3.0),
        ("redis://x?a=1&lease=2.5", 2.5),
        ("redis://x?lease=500ms&b", 0.5),
        ("redis://x?lease=1m", 60.0),
        ("redis://x", 60.0),
    ],
)
def test_the_lease_is_what_the_url_says(url: str, seconds: float) -> None:
    assert lease_of(url) == seconds


def test_only_kafka_may_be_told_late_what_was_handled() -> None:
    assert unsure_of("redis://x?lease=3s") == 1.0
    assert unsure_of("kafka://x,y?lease=3s") == 3.0


def test_so_is_the_number_of_shards() -> None:
    assert (shards_of("redis://x?lease=3s&shards=4"), shards_of("redis://x")) == (4, 1)
