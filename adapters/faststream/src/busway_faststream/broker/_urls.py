"""From a URL to a bus, and where a bus is as it may be shown to everybody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from busway import Bus, OptionError, Retry

from ._outcome import with_nack

__all__ = ["bus_of", "protocol_of", "public_urls"]

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d+)?"
_PLACE: Final = re.compile(rf"([^@/?#]*@)?{_HOST}(,{_HOST})*(/[A-Za-z0-9._/-]*)?(?=[?#])")


def public_urls(given: str | Bus | Iterable[str]) -> list[str]:
    """One URL for each server, without user, password and query; ``redis://hidden`` where nobody
    can tell a password from the place. Of a ``Bus``, what its own document shows; where that shows
    nothing, its transport has a name that holds the place of a server."""
    if isinstance(given, Bus):
        servers: dict[str, dict[str, str]] = given.asyncapi(sends=()).get("servers", {})
        shown = [
            f"{each['description']}{each['host']}{each.get('pathname', '')}"
            for each in servers.values()
        ]
        return shown or [f"busway://{type(given.transport).__name__.lower()}"]
    if not isinstance(given, str):
        return [url for each in given for url in public_urls(each)]
    # FastStream takes a place without a scheme, too.
    scheme, mark, rest = given.partition("://") if "://" in given else ("", "", given)
    rest = _place_in(rest)
    hosts, slash, path = rest.partition("/")
    return [f"{scheme}{mark}{host}{slash}{path}" for host in hosts.split(",")]


def _place_in(rest: str) -> str:
    """Hosts and path of what stands behind ``://``; "hidden" where they might be a secret."""
    # Not by the rules of URLs: a password that should have been escaped may hold / ? or #. So an @
    # behind one of these may end a password, or be a part of one in the query. Where both can be,
    # what stands on either side of it may be secret.
    before, _, behind = rest.rpartition("@")
    has_query = "?" in before or "#" in before
    if has_query and (_PLACE.match(rest) or "=" in before.partition("?")[2]):
        return "hidden"
    return behind.partition("?")[0].partition("#")[0]


def protocol_of(url: str) -> str:
    """``redis`` of ``redis+pubsub://…``, ``busway`` of what names none."""
    return url.partition("://")[0].partition("+")[0] if "://" in url else "busway"


def bus_of(bus: str | Bus, service: str | None, retry: Retry | None) -> Bus:
    """What the broker was made with, as a bus. Raises OptionError, and what ``Bus`` raises."""
    if isinstance(bus, Bus):
        if service is not None or retry is not None:
            raise OptionError("BusBroker(bus): service= and retry= are given to the Bus itself")
        return bus
    if not isinstance(bus, str):
        raise OptionError(f"BusBroker({bus!r}): it takes a URL, such as memory://, or a Bus")
    if retry is None:
        return Bus(bus, service=service)
    return Bus(bus, service=service, retry=with_nack(retry) if type(retry) is Retry else retry)
