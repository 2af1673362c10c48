"""A short run of all the faults together over three real Kafkas; ``make chaos URL=kafka`` makes
long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults._own_kafka import OwnKafka
from tests.faults._run import Options, Run
from tests.servers import KafkaCluster
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

LEASE = 3.0


async def test_a_short_run_of_everything_keeps_every_promise(tmp_path: Path) -> None:
    """No commit ever stands above what is not finished, nothing is written twice, and the order of
    each key holds over all processes."""
    options = Options(
        seconds=20, seed=21, producers=2, consumers=3, rate=100.0, every=1.2, poison=0.001,
        visitors=1,
    )  # fmt: skip
    with started_or_skip(lambda: KafkaCluster(ways=7)) as cluster:
        broker = OwnKafka(cluster, f"?lease={LEASE:g}s&partitions=4&prefix={tmp_path.name}.")
        outcome = await Run(broker, tmp_path, options).carry_out()
    assert outcome.verdict.violations == []
    assert len(outcome.record.kills) >= 5
    assert outcome.record.published > 500
    assert outcome.commits is not None
    assert outcome.commits[1] > 1000
