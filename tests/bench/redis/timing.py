"""Runs against one server, each on an empty one, interleaved."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.bench.measure import Settings, Spread, run_on
from tests.bench.rig import Loop
from tests.servers import RedisServer

__all__ = ["Run", "bench_server", "emptied", "interleave"]

TRIAL = 1_000
STEP = 1_000
REWRITTEN = 256_000_000


@dataclass
class Run:
    """One contender at one task, and what each repeat took per event, in seconds."""

    contender: str
    go: Callable[[str, int], Awaitable[float]]
    """Given the server and how many events; answers with seconds per event."""
    loop: Loop = "asyncio"
    count: int = TRIAL
    taken: list[float] = field(default_factory=list)

    @property
    def spread(self) -> Spread:
        return Spread(tuple(self.taken))


def bench_server() -> RedisServer:
    """With its append-only file written every second, which is rewritten between runs only."""
    return RedisServer(config=["auto-aof-rewrite-percentage 0"])


def emptied(server: RedisServer) -> str:
    """The URL of the server, in which there is nothing."""
    server.command("FLUSHALL", "SYNC")
    if int(server.info("persistence")["aof_current_size"]) > REWRITTEN:
        server.command("BGREWRITEAOF")
        while server.info("persistence")["aof_rewrite_in_progress"] == "1":
            time.sleep(0.02)
    return server.url


def interleave(server: RedisServer, runs: Sequence[Run], settings: Settings) -> None:
    """Every repeat runs each once, in alternating order. How many events fill the time is found by
    a trial, which also brings every module and script in."""
    for run in runs:
        trial = run_on(run.loop, run.go, emptied(server), TRIAL)
        run.count = max(TRIAL, round(settings.seconds / trial / STEP) * STEP)
    for repeat in range(settings.repeats):
        for run in runs if repeat % 2 == 0 else reversed(runs):
            run.taken.append(run_on(run.loop, run.go, emptied(server), run.count))
