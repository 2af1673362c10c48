"""Which envelope is being handled here: what a publish inside a handler is a child of."""

from __future__ import annotations

from contextvars import ContextVar

from .message import Envelope

__all__ = ["current", "living_in", "working_for"]

current: ContextVar[Envelope | None] = ContextVar("busway_current", default=None)

working_for: ContextVar[object | None] = ContextVar("busway_working_for", default=None)
"""The group whose worker this is: waiting here for that group to end would wait for itself."""

living_in: ContextVar[object | None] = ContextVar("busway_living_in", default=None)
"""The bus (its ``Runtime``) that this task is a part of: waiting here for that bus to stop would be
waiting for itself. A handler's task, and whatever begins or ends a group."""
