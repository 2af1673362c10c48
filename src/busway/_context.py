"""Which envelope is being handled here: what a publish inside a handler is a child of."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from .message import Envelope

__all__ = ["ELSEWHERE", "current", "inside", "living_in", "working_for"]

current: ContextVar[Envelope | None] = ContextVar("busway_current", default=None)

working_for: ContextVar[object | None] = ContextVar("busway_working_for", default=None)
"""The group whose worker this is: waiting here for that group to end would wait for itself."""

ELSEWHERE: Final = object()
"""Stands in ``working_for`` where somebody else's worker handles ``current``: it has a parent as in
a handler, and may wait as anybody else."""

living_in: ContextVar[object | None] = ContextVar("busway_living_in", default=None)
"""The bus (its ``Runtime``) that this task is a part of: waiting here for that bus to stop would be
waiting for itself. A handler's task, and whatever begins or ends a group."""


def inside() -> bool:
    """Whether this is a worker of a bus, which must not be made to wait for what workers do."""
    worker = working_for.get()
    return worker is not None and worker is not ELSEWHERE
