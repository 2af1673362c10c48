"""What an ASGI server hands over, and what is read from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

__all__ = ["ASGIApp", "Receive", "Scope", "Send", "header", "headers", "queried"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def headers(scope: Scope, name: str) -> Iterator[str]:
    """The values of a header, in the order they came; names are lower case in ASGI."""
    wanted = name.encode("latin-1")
    for each, value in scope.get("headers", ()):
        if each == wanted:
            yield value.decode("latin-1").strip()


def header(scope: Scope, name: str) -> str | None:
    """The first value of a header."""
    return next(headers(scope, name), None)


def queried(scope: Scope, name: str) -> list[str]:
    """The values of a parameter in the URL's query."""
    query = scope.get("query_string", b"").decode("latin-1")
    return [value for each, value in parse_qsl(query, keep_blank_values=True) if each == name]
