"""What was captured, and choosing from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast, overload

from busway import Envelope, Undecodable, event_of, matches
from busway.errors import OptionError

__all__ = ["Records"]

R = TypeVar("R")


class Records(Sequence[R]):
    """What happened, in its order: the structs of ``busway.middleware``, and choices from them.

    Choices can be chained: ``captured.handled.of(OrderPlaced).group("shop.charge")``. Each holds
    what there is when it is made; ``captured.handled`` itself grows.
    """

    def __init__(self, records: Iterable[R] = ()) -> None:
        self._records = list(records)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int, /) -> R: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[R]: ...
    def __getitem__(self, index: int | slice, /) -> R | list[R]:
        return self._records[index]

    def __iter__(self) -> Iterator[R]:
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records | list):
            return NotImplemented
        return self._records == list(cast("Iterable[Any]", other))

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return repr(self._records)

    @property
    def events(self) -> list[Any]:
        """The events, as objects of their declared classes; None for bytes that are no envelope."""
        return [_event(each) for each in self._records]

    @property
    def envelopes(self) -> list[Envelope]:
        """The envelopes of those that have one."""
        return [each for each in map(_envelope, self._records) if each is not None]

    def of(self, *classes: type) -> Records[R]:
        """Those whose event is an object of one of these classes, wherever it was decoded."""
        if typed := [each for each in classes if hasattr(each, "__required_keys__")]:
            raise OptionError(
                f"of({typed[0].__qualname__}): a TypedDict is a dict when it runs, like any other: "
                "choose by its topic, with topic()"
            )
        return self.where(lambda each: isinstance(_event(each), classes))

    def topic(self, pattern: str) -> Records[R]:
        """Those whose topic the pattern matches, as a subscription's would."""
        matches(pattern, "")  # a malformed one is an error now, also when there is nothing to match
        return self._having(lambda envelope: matches(pattern, envelope.type))

    def key(self, key: str | None) -> Records[R]:
        """Those of this key."""
        return self._having(lambda envelope: envelope.subject == key)

    def channel(self, channel: str) -> Records[R]:
        """Those that lay in this channel."""
        return self.where(lambda each: getattr(each, "channel", None) == channel)

    def group(self, group: str) -> Records[R]:
        """Those of this group. Nothing that was published has one."""
        return self.where(lambda each: getattr(each, "group", None) == group)

    def where(self, wanted: Callable[[R], bool]) -> Records[R]:
        """Those for which the function says so."""
        return Records(filter(wanted, self._records))

    def add(self, record: R) -> None:
        self._records.append(record)

    def clear(self) -> None:
        self._records.clear()

    def _having(self, wanted: Callable[[Envelope], bool]) -> Records[R]:
        def has(record: R) -> bool:
            envelope = _envelope(record)
            return envelope is not None and wanted(envelope)

        return self.where(has)


def _envelope(record: Any) -> Envelope | None:
    content = getattr(record, "envelope", None) or getattr(record, "content", None)
    return content if isinstance(content, Envelope) else None


def _event(record: Any) -> Any:
    envelope = _envelope(record)
    if envelope is None:
        return None
    try:
        return event_of(envelope)
    except Undecodable:
        return envelope.data
