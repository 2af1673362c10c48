"""What the short runs have in common."""

from __future__ import annotations

from ._events import Event
from ._fleet import Worker
from ._oracle import Verdict
from ._recovery import resumptions
from ._scene import PATIENCE, Scene

__all__ = [
    "busy", "consumers", "crashes_late", "ended", "flows", "handle", "publisher_is_killed",
    "replaced", "resumed",
]  # fmt: skip


async def consumers(town: Scene, count: int, **settings: object) -> list[Worker]:
    found = [
        await town.launch("consumer", f"consumer-{number}", **settings)
        for number in range(1, count + 1)
    ]
    await town.ready(*found)
    return found


async def ended(town: Scene, *workers: Worker) -> Verdict:
    """Everything is handled, everybody has ended in good order, nothing is left."""
    await town.until_handled()
    await town.end(*workers)
    await town.look_at_commits(PATIENCE)
    await town.audit()
    return town.judge()


async def busy(town: Scene, worker: Worker, many: int) -> int:
    """Its pid, once it handles so many at the same time."""
    pid = worker.pid
    assert pid is not None
    await town.until(lambda: len(town.record.running(pid)) >= many, "it is busy")
    return pid


async def handle(town: Scene, workers: list[Worker]) -> None:
    """Each of them has begun with something, and can be seen to do so again."""
    await town.until(lambda: {w.pid for w in workers} <= _handled(town), "all of them handle")


def _handled(town: Scene) -> set[int]:
    events = town.record.handlings.values()
    return {one.pid for each in events for handlings in each.values() for one in handlings}


async def flows(town: Scene) -> None:
    before = town.record.published
    await town.until(lambda: town.record.published > before + 100, "events flow")


async def resumed(town: Scene, times: int) -> None:
    await town.until(lambda: len(resumptions(town.record)) == times, "both receive again")


async def replaced(town: Scene, worker: Worker) -> None:
    """SIGTERM, and the next is ready."""
    before = worker.pid
    worker.terminate()
    await town.until(
        lambda: worker.pid != before and worker.pid in town.record.ready, "the next is ready"
    )


async def crashes_late(town: Scene) -> tuple[Verdict, Event]:
    """Among others an event whose process is killed when it is done, before it could say so."""
    workers = await consumers(town, 2)
    crash = Event("red", "late", 1, "crash")
    others = [Event("red", f"k{each % 7}", each, "work") for each in range(60)]
    await town.publish([crash, *others])
    await town.until_handled()
    await town.until(lambda: len(town.record.handled("alpha", crash.name)) == 2, "once more")
    return await ended(town, *workers), crash


async def publisher_is_killed(town: Scene) -> Verdict:
    """Twice, in the middle of what it publishes."""
    producer = await town.launch("producer", "producer", rate=150.0)
    (worker,) = await consumers(town, 1)
    for _ in range(2):
        await flows(town)
        producer.kill()
    await flows(town)
    await town.end(producer)
    return await ended(town, worker)
