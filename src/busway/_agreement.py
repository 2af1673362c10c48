"""What the subscriptions of one group agree on."""

from __future__ import annotations

from typing import Any, Protocol

from ._crew import Policy
from ._spec import Options
from .errors import GroupError
from .transport import Start

__all__ = ["Agreement", "Party"]

_SHARED = ("broadcast", "concurrency", "order", "batch", "start")


class Party(Protocol):
    """The part of a subscription that its group needs."""

    name: str
    options: Options
    patterns: tuple[str, ...]


class Agreement:
    """The options of one group: who has no opinion has that of the others."""

    def __init__(self, group: str, bound: int) -> None:
        self.parties: list[Party] = []
        self.live = False
        """Whether its transport keeps nothing, so that every group is a broadcast."""
        self._group = group
        self._bound = bound

    @property
    def broadcast(self) -> bool:
        return self.live or bool(self._agreed("broadcast"))

    @property
    def start(self) -> Start:
        start: Start | None = self._agreed("start")
        return start or ("latest" if self.broadcast else "earliest")

    @property
    def policy(self) -> Policy:
        return Policy(
            concurrency=self._agreed("concurrency") or 1,
            ordered=self._agreed("order") == "key",
            broadcast=self.broadcast,
            batch=self._agreed("batch"),
            bound=self._bound,
        )

    def _agreed(self, option: str) -> Any:
        for party in self.parties:
            value = getattr(party.options, option)
            if value is not None:
                return value
        return None

    def check(self, name: str, mine: Options) -> None:
        """Raises GroupError when a further subscription contradicts those that are there."""
        for other in self.parties:
            theirs = other.options
            for option in _SHARED:
                one, two = getattr(mine, option), getattr(theirs, option)
                if one is not None and two is not None and one != two:
                    raise GroupError(
                        f"group {self._group!r}: {name} says {option}={one!r} and "
                        f"{other.name} says {option}={two!r}; a group has one. Make them "
                        "equal, or give one of the handlers a group of its own"
                    )
            if mine.batch is not None or theirs.batch is not None:
                raise GroupError(
                    f"group {self._group!r}: {name} and {other.name}: a group that takes "
                    "batches has one handler. Give one of them a group of its own"
                )

    def check_open(self, name: str, mine: Options) -> None:
        """Raises GroupError when it wants what a group that is open cannot change."""
        policy = self.policy
        faster = mine.concurrency is not None and mine.concurrency != policy.concurrency
        if faster or (mine.order == "key" and not policy.ordered):
            raise GroupError(
                f"group {self._group!r} is open with concurrency={policy.concurrency}, "
                f"order={'key' if policy.ordered else None!r}; {name} cannot change that now. "
                "Subscribe it before the bus starts, or use a new group"
            )
