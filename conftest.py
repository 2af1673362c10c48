"""For the tests of the core and of every adapter: the fixtures that start real servers."""

from __future__ import annotations

__all__ = ["pytest_plugins"]

pytest_plugins = ["tests.servers.plugin"]
