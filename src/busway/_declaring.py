"""What ``@event`` says about the fields of an envelope, read from an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._declared import Declaration

__all__ = ["Loose", "declared_fields"]


class Loose:
    """Data that was not checked, or does not fit, read as if it were an event: losing the key would
    lose the order. What is missing is None."""

    __slots__ = ("_data",)

    def __init__(self, data: object) -> None:
        self._data: Mapping[str, Any] = data if isinstance(data, Mapping) else {}

    def __getattr__(self, name: str) -> Any:
        return self._data.get(name)

    def __getitem__(self, name: str) -> Any:
        return self._data.get(name)


def declared_fields(declared: Declaration, event: object) -> dict[str, Any]:
    """The fields that were found. A tenant of None is found, too: it says "no tenant"."""
    fields: dict[str, Any] = {}
    getters: dict[str, Callable[[Any], Any] | None] = {
        "subject": declared.key,
        "idempotency_key": declared.idempotency_key,
        "given_correlation_id": declared.correlation_id,
        "tenant": declared.tenant,
    }
    for name, get in getters.items():
        if get is None:
            continue
        value = get(event)
        if value is not None:
            fields[name] = value if type(value) is str else str(value)
        elif name == "tenant":
            fields[name] = None
    for name, pair in (("aggregate", declared.aggregate), ("resource", declared.resource)):
        if pair is not None:
            fields[name] = pair(event)
    return fields
