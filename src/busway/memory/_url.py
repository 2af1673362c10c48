"""``memory://?mailbox=…&history=…`` to a transport."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from ..errors import OptionError
from ._transport import MemoryTransport

__all__ = ["open"]

_KNOWN = "mailbox, history, dead, lease, codec"


def open(url: str, /) -> MemoryTransport:
    """The transport of a ``memory://`` URL. Raises OptionError for what it does not know."""
    parts = urlsplit(url)
    if parts.netloc or parts.path.strip("/"):
        raise OptionError(
            f"{url!r}: memory:// has no host and no path. To share one between buses, make a "
            "MemoryTransport and give it to each: Bus(transport)"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - set(_KNOWN.split(", "))
    if unknown:
        raise OptionError(f"{url!r}: unknown option {', '.join(sorted(unknown))}; known: {_KNOWN}")
    lease = options.get("lease")
    return MemoryTransport(
        mailbox=_whole(url, options, "mailbox", 1024, least=1),
        history=_whole(url, options, "history", 0, least=0),
        dead=_whole(url, options, "dead", 10_000, least=1),
        lease=None if lease is None else _seconds(url, lease),
        codec=_codec(url, options.get("codec")),
    )


def _whole(url: str, options: dict[str, str], name: str, default: int, *, least: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < least:
        raise OptionError(f"{url!r}: {name}={text!r}: it takes a whole number of {least} or more")
    return int(text)


def _seconds(url: str, text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"{url!r}: lease={text!r}: it takes seconds, such as 30 or 30s")
    return seconds


def _codec(url: str, text: str | None) -> str | None:
    if text not in (None, "json", "msgpack"):
        raise OptionError(f"{url!r}: codec={text!r}: it takes json or msgpack")
    return text
