"""A short run of all the faults together over a real Redis; ``make chaos`` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults._broker import OwnRedis
from tests.faults._run import Options, Run
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

LEASE = 2.0


async def test_a_short_run_of_everything_keeps_every_promise(tmp_path: Path) -> None:
    """The order of each key over all processes, too: a channel is four streams."""
    options = Options(
        seconds=20, seed=20, producers=2, consumers=3, rate=150.0, every=1.0, poison=0.001
    )
    with started_or_skip(lambda: RedisServer(fsync="always")) as server:
        broker = OwnRedis(server, f"?lease={LEASE:g}s&shards=4&prefix={tmp_path.name}")
        outcome = await Run(broker, tmp_path, options).carry_out()
    assert outcome.ordered
    assert outcome.verdict.violations == []
    assert len(outcome.record.kills) >= 5
    assert outcome.record.published > 1000
