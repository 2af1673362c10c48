"""Classes of which no object knows that it is one."""

from __future__ import annotations

from typing import Any

__all__ = ["is_typeddict"]


def is_typeddict(cls: Any) -> bool:
    """Whether it is a TypedDict, of ``typing`` or of ``typing_extensions``, which before Python
    3.12 is the one that pydantic takes and which ``typing.is_typeddict`` does not know there."""
    return hasattr(cls, "__required_keys__")
