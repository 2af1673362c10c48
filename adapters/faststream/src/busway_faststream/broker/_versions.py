"""Which versions of FastStream the broker works with."""

from __future__ import annotations

import re
from typing import Final

from busway import UsageError

__all__ = ["NEWEST", "OLDEST", "UnsupportedFastStream", "check"]

OLDEST = "0.7.6"
NEWEST = "0.7.8"

# A pre-release is older than its release, and not what was tested; a post-release and a local build
# are the release with something mended.
_RELEASE: Final = re.compile(r"(\d+\.\d+\.\d+)(\.post\d+)?(\+.*)?$")


class UnsupportedFastStream(UsageError, ImportError):
    """Raised when ``BusBroker`` is imported beside a FastStream that it was not tested with. A
    broker is made of parts that FastStream moves between its releases, patch releases too."""


def check(installed: str) -> None:
    """Raises UnsupportedFastStream, which says what to install."""
    released = _RELEASE.match(installed)
    if not released or not _numbers(OLDEST) <= _numbers(released[1]) <= _numbers(NEWEST):
        raise UnsupportedFastStream(
            f"BusBroker is tested with FastStream {OLDEST} to {NEWEST}, and {installed} is "
            f"installed: pip install 'faststream>={OLDEST},<={NEWEST}', or a newer "
            "busway-faststream. The rest of busway_faststream works with this version, too"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
