"""From a topic to its subscriptions, among ten thousand patterns."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from busway._routing import Router
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, per_call

__all__ = ["TopicMaker", "full_router", "measure"]

PATTERNS = 10_000
KINDS = (
    "shop{0}.order.placed",
    "shop{0}.order.*",
    "shop{0}.**",
    "*.order{0}.placed",
    "**.closed{0}",
    "area{0}:*:created",
    "shop{0}.{{paid,refunded}}.*",
    "shop{0}.item-*.moved",
    "a.b.c{0}.*",
    "shop{0}.*.done?",
)
"""A thousand patterns of each: literals, one segment, any number, parts, alternatives."""
NOTE = f"{PATTERNS:,} patterns of ten kinds. A cached topic includes the call of `match`."


def full_router() -> Router[int]:
    router: Router[int] = Router()
    for number in range(PATTERNS // len(KINDS)):
        for place, kind in enumerate(KINDS):
            router.add(kind.format(number), number * len(KINDS) + place)
    return router


class TopicMaker:
    """Topics never seen before, each matched by two to four of the patterns."""

    def __init__(self) -> None:
        self._numbers = count()

    def take(self, many: int) -> list[str]:
        kinds = (
            "shop{0}.order.new{1}", "shop{0}.item-{1}.moved", "shop{0}.x{1}.done1",
            "shop{0}.paid.by{1}", "area{0}:n{1}:created", "deep{1}.in.closed{0}",
        )  # fmt: skip
        numbers = (next(self._numbers) for _ in range(many))
        return [kinds[number % len(kinds)].format(number % 1_000, number) for number in numbers]


def measure(settings: Settings) -> Iterable[Section]:
    router, maker = full_router(), TopicMaker()
    topics = maker.take(1_000)
    if not all(router.match(topic) for topic in topics):
        raise AssertionError("a topic of the benchmark matches no pattern")
    hot = [(topic,) for topic in topics] * (20 if settings.short else 200)
    fresh = 4_000 if settings.short else 40_000
    new: list[float] = []
    cached: list[float] = []
    for _ in range(settings.repeats):
        new.append(per_call(router.match, [(topic,) for topic in maker.take(fresh)]))
        per_call(router.match, hot[: len(topics)])
        cached.append(per_call(router.match, hot))
    section = Section("Routing", ("what",), "measured", "us", note=NOTE)
    section.add(("a cached topic",), Spread(tuple(cached)), Goal(0.3))
    section.add(("a new topic",), Spread(tuple(new)), Goal(10))
    yield section
