"""From a URL to a transport: the scheme's entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast
from urllib.parse import urlsplit

from .errors import OptionError, UnknownTransport
from .transport import Transport

__all__ = ["installed", "open_transport", "scheme_of", "without_secrets"]

_GROUP = "busway.transports"
# Schemes of adapters that exist, and the extra that brings each.
_EXTRAS = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "kafka": "kafka",
    "sqlite": "sql",
    "postgresql": "sql",
}


def open_transport(url: str) -> Transport:
    """The transport for a URL, not connected yet. Raises UnknownTransport or OptionError."""
    scheme = scheme_of(url)
    found = _entry_point(scheme)
    if found is None:
        raise UnknownTransport(_unknown(url, scheme))
    try:
        make = cast("Callable[[str], Transport]", found.load())
    except ImportError as error:
        raise UnknownTransport(
            f"{without_secrets(url)!r}: the adapter for {scheme}:// is installed but cannot be "
            f"imported: {error}. Install it with all it needs: pip install 'busway[{_extra(scheme)}]'"
        ) from error
    return make(url)


def installed() -> list[str]:
    """The schemes that can be opened, sorted."""
    return sorted({point.name for point in entry_points(group=_GROUP)} | _BUILT_IN.keys())


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case. Raises OptionError for what is no URL."""
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise OptionError(
            f"{url!r} is no URL: it takes scheme://…, such as memory:// or one of "
            f"{', '.join(f'{name}://' for name in installed())}"
        )
    return scheme.lower()


def without_secrets(url: str) -> str:
    """The URL as it may be logged: no user, no password, no query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


# The core's own, so that a checkout that is not installed runs too.
_BUILT_IN = {
    "memory": EntryPoint("memory", "busway.memory:open", _GROUP),
    "null": EntryPoint("null", "busway.memory:open_null", _GROUP),
}


def _entry_point(scheme: str) -> EntryPoint | None:
    for point in entry_points(group=_GROUP):
        if point.name == scheme:
            return point
    return _BUILT_IN.get(scheme)


def _extra(scheme: str) -> str:
    return _EXTRAS.get(scheme.partition("+")[0], scheme)


def _unknown(url: str, scheme: str) -> str:
    known = ", ".join(installed())
    text = f"no transport for {scheme!r} ({without_secrets(url)}); installed: {known}"
    if scheme.partition("+")[0] in _EXTRAS:
        return f"{text}. Its adapter is not installed: pip install 'busway[{_extra(scheme)}]'"
    return f"{text}. Check the scheme, or install the adapter that brings it"
