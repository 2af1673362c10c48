"""From a URL to a transport: the scheme's entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from .errors import OptionError, UnknownTransport
from .transport import Transport

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

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
    try:
        make = _opener(scheme)
    except (ImportError, AttributeError) as error:
        extra = _extra(scheme)
        how = f": pip install 'busway[{extra}]'" if extra else ""
        raise UnknownTransport(
            f"{without_secrets(url)!r}: the adapter for {scheme}:// is installed but cannot be "
            f"imported: {error}. Install it with all it needs{how}"
        ) from error
    if make is None:
        raise UnknownTransport(_unknown(url, scheme))
    return make(url)


def installed() -> list[str]:
    """The schemes that can be opened, sorted."""
    return sorted({point.name for point in _entry_points()} | _BUILT_IN.keys())


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case. Raises OptionError for what is no URL."""
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        # What was meant as a URL may hold a password.
        shown = repr(url) if scheme.isalnum() and not separator else "this"
        # First what needs nothing else.
        known = sorted(installed(), key=lambda name: name not in _BUILT_IN)
        raise OptionError(
            f"{shown} is no URL: it takes scheme://…, such as "
            f"{', '.join(f'{name}://' for name in known)}"
        )
    return scheme.lower()


def without_secrets(url: str) -> str:
    """The URL as it may be logged: no user, no password, no query."""
    scheme, _, rest = url.partition("://")
    # Not by the rules of URLs: a password that should have been escaped may hold / ? or #.
    rest = rest.rpartition("@")[2]
    return f"{scheme}://{rest.partition('?')[0].partition('#')[0]}"


# The core's own: they need no search through what is installed, which takes longer than to import
# the whole bus, and a checkout that is not installed has them too.
_BUILT_IN = {"memory": "open", "null": "open_null"}


def _opener(scheme: str) -> Callable[[str], Transport] | None:
    if scheme in _BUILT_IN:
        return cast(
            "Callable[[str], Transport]",
            getattr(import_module("busway.memory"), _BUILT_IN[scheme]),
        )
    for point in _entry_points():
        if point.name == scheme:
            return cast("Callable[[str], Transport]", point.load())
    return None


def _entry_points() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points

    return entry_points(group=_GROUP)


def _extra(scheme: str) -> str | None:
    return _EXTRAS.get(scheme.partition("+")[0])


def _unknown(url: str, scheme: str) -> str:
    known = ", ".join(installed())
    text = f"no transport for {scheme!r} ({without_secrets(url)}); installed: {known}"
    extra = _extra(scheme)
    if extra:
        return f"{text}. Its adapter is not installed: pip install 'busway[{extra}]'"
    return f"{text}. Check the scheme, or install the adapter that brings it"
