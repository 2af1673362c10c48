"""Where topics lie, as the buses that share a transport were told."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import OptionError

__all__ = ["Chart"]


class Chart:
    """Channels by pattern; who names a pattern first is right."""

    def __init__(self) -> None:
        self._channels: dict[str, str] = {}

    def add(self, channels: Mapping[str, str]) -> dict[str, str]:
        """Record these; all that are recorded. Raises OptionError, and then records none."""
        for pattern, channel in channels.items():
            before = self._channels.get(pattern, channel)
            if before != channel:
                raise OptionError(
                    f"channels={{{pattern!r}: {channel!r}}} here, and {before!r} in a bus that "
                    "started before: one would publish where the other does not listen. Give all "
                    "buses of a transport the same"
                )
        self._channels.update(channels)
        return dict(self._channels)
