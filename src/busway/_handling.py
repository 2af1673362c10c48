"""One subscription as its group's workers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ._convert import Converter
from ._routing import matcher
from ._verdict import Retry
from .message import Envelope
from .transport import Delivery

__all__ = ["BatchInvoke", "Handling", "Invoke", "PartlyFailed"]

Invoke = Callable[[Envelope, Delivery], Awaitable[Any]]

BatchInvoke = Callable[[list[Delivery], list[Any]], Awaitable[Any]]
"""Takes deliveries and what ``convert`` made of each."""


class PartlyFailed(Exception):
    """What a batch handler of the bus's own raises: these failed, by their place in the batch, and
    all others were handled."""

    def __init__(self, errors: Mapping[int, BaseException]) -> None:
        super().__init__(f"{len(errors)} events of a batch failed")
        self.errors = errors


class Handling:
    """A handler with its middleware, composed once, and its retry policy."""

    __slots__ = (
        "convert",
        "direct",
        "exact",
        "invoke",
        "invoke_batch",
        "name",
        "onlooker",
        "patterns",
        "plain",
        "retry",
        "returns",
    )

    def __init__(
        self, name: str, patterns: tuple[str, ...], invoke: Invoke, retry: Retry | None
    ) -> None:
        self.name = name
        self.patterns = patterns
        self.invoke = invoke
        self.invoke_batch: BatchInvoke | None = None
        self.convert: Converter | None = None
        """For each event of a batch."""
        self.retry = retry
        self.exact: type | None = None
        """Events of exactly this class can be given to ``direct`` as they are."""
        self.direct: Callable[[Any], Awaitable[Any]] = _nothing_direct
        self.plain: Callable[[Envelope], Awaitable[Any]] | None = None
        """What ``invoke`` does where that takes nothing but the event."""
        self.returns: Any = Any
        """What the handler says it returns, ``Any`` where it does not say."""
        self.onlooker = False
        """Whether it answers no request, whatever its patterns."""

    def observes(self, topic: str, outcome: object) -> bool:
        """Whether a request of this topic is none of its business: only a wildcard brought it here,
        and the handler returns nothing. A log of everything must not answer in another's place."""
        if self.onlooker:
            return True
        if self.returns is not None and (self.returns is not Any or outcome is not None):
            return False
        named = [pattern for pattern in self.patterns if not _WILDCARDS.intersection(pattern)]
        return not named or not matcher(named)(topic)

    def __repr__(self) -> str:
        return f"<handler {self.name} of {', '.join(self.patterns)}>"


_WILDCARDS = frozenset("*?[")


def _nothing_direct(data: Any) -> Awaitable[Any]:
    raise AssertionError("no class is exact")
