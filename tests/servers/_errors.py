"""What can be wrong with a server that a test needs."""

from __future__ import annotations

__all__ = ["NoServer", "ServerError"]


class NoServer(Exception):
    """This machine has nothing to start a server with."""


class ServerError(Exception):
    """A server did not do what it was asked to. The text holds the last lines of its log."""
