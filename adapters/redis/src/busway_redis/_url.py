"""A URL to options.

What cannot be read is never quoted: it may be a piece of a password that should have been escaped.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from busway import OptionError
from busway.transport.options import Convert, choice, duration, flag, secret, text, whole

from ._options import OWN, PUBSUB, Node, Options, converted

__all__ = ["CLIENT", "SCHEMES", "options_from_url"]

SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
    "redis+pubsub",
    "rediss+pubsub",
    "unix+pubsub",
    "redis+sentinel+pubsub",
    "rediss+sentinel+pubsub",
    "redis+cluster+pubsub",
    "rediss+cluster+pubsub",
)
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379


def _tls_version(name: str, given: Any) -> ssl.TLSVersion:
    known = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    known |= {str(int(each)): each for each in known.values()}
    if given not in known:
        raise OptionError(f"{name}={given!r}: it takes 1.2 or 1.3")
    return known[given]


def _verify_flags(name: str, given: Any) -> list[ssl.VerifyFlags]:
    known = {each.name: each for each in ssl.VerifyFlags}
    names = [each.strip() for each in str(given).strip("[]").split(",")]
    unknown = [each for each in names if each not in known]
    if unknown:
        raise OptionError(f"{name}={given!r}: it takes of {', '.join(map(str, known))}")
    return [known[each] for each in names]


CLIENT: Final[Mapping[str, Convert]] = {
    "client_name": text,
    "socket_connect_timeout": duration,
    "socket_keepalive": flag,
    "socket_read_size": whole(1),
    "ssl_ca_certs": text,
    "ssl_ca_data": text,
    "ssl_ca_path": text,
    "ssl_cert_reqs": choice("required", "optional", "none"),
    "ssl_certfile": text,
    "ssl_check_hostname": flag,
    "ssl_ciphers": text,
    "ssl_exclude_verify_flags": _verify_flags,
    "ssl_include_verify_flags": _verify_flags,
    "ssl_keyfile": text,
    "ssl_min_version": _tls_version,
    "ssl_password": secret,
}
"""The client's own options that a URL may hold."""

_PLACE: Final[Mapping[str, Convert]] = {"db": whole(0), "username": text, "password": secret}
_SENTINEL: Final[Mapping[str, Convert]] = {
    "sentinel_password": secret,
    "sentinel_tls": flag,
    "sentinel_username": text,
}
_SET: Final[Mapping[str, str]] = {
    "decode_responses": "events are bytes",
    "encoding": "events are bytes",
    "encoding_errors": "events are bytes",
    "health_check_interval": "a connection that does not answer in time is made anew",
    "legacy_responses": "it speaks RESP2",
    "max_connections": "it has no pool",
    "protocol": "it speaks RESP2",
    "retry_on_error": "what may have been executed is not sent again; see on_unknown=",
    "retry_on_timeout": "what may have been executed is not sent again; see on_unknown=",
    "socket_timeout": "see timeout=, which reads that block do not have",
}
"""The client's options that the adapter sets, and why."""


def options_from_url(url: str, **own: Any) -> Options:
    """The options in a URL; the adapter's own may be given beside it, and count before it.

    Raises OptionError.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    try:
        if not separator or scheme not in SCHEMES:
            raise OptionError(f"it takes {', '.join(f'{each}://' for each in SCHEMES[:6])} or …")
        return _parsed(scheme, rest, own)
    except OptionError as error:
        shown = f"{scheme}://…: " if separator and scheme in SCHEMES else ""
        raise OptionError(f"{shown}{error}") from None


def _parsed(scheme: str, rest: str, own: Mapping[str, Any]) -> Options:
    base, *words = scheme.split("+")
    place, _, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    if "@" in path or "@" in query or "#" in rest:
        raise OptionError(
            "there is an @ behind the host, or a #: percent-encode those characters of the user, "
            "the password and the parameters that mean something in a URL (/ ? # & % @ :)"
        )
    login, _, hosts = authority.rpartition("@")
    fields = _login(login)
    if base == "unix":
        if hosts or not path:
            raise OptionError("a Unix socket is a path: unix:///run/redis.sock?db=0")
        fields["path"] = unquote(f"/{path}")
    else:
        fields["tls"] = base == "rediss"
        fields |= _servers(hosts, unquote(path) if slash else "", words)
    fields["pubsub"] = "pubsub" in words
    return _with_query(fields, query, own)


def _login(login: str) -> dict[str, Any]:
    user, separator, password = login.partition(":")
    fields: dict[str, Any] = {}
    if user:
        fields["user"] = unquote(user)
    if separator:
        fields["password"] = secret("password", unquote(password))
    return fields


def _servers(hosts: str, path: str, words: list[str]) -> dict[str, Any]:
    topology = next((each for each in ("sentinel", "cluster") if each in words), "single")
    port = _SENTINEL_PORT if topology == "sentinel" else _PORT
    nodes = tuple(_node(each, port) for each in hosts.split(","))
    if topology == "single" and len(nodes) > 1:
        raise OptionError("several hosts are for redis+cluster:// and redis+sentinel://")
    fields: dict[str, Any] = {"topology": topology, "nodes": nodes}
    parts = [part for part in path.split("/") if part]
    if topology == "sentinel" and parts:
        fields["service"] = parts.pop(0)
    if parts:
        database = parts.pop(0)
        if parts or not database.isdecimal():
            wanted = "/service/0" if topology == "sentinel" else "/0"
            raise OptionError(f"the path is the number of a database: {wanted}")
        fields["database"] = int(database)
    return fields


def _node(text: str, port: int) -> Node:
    host, separator, number = text.rpartition(":")
    if not separator or text.endswith("]"):
        host, number = text, str(port)
    bracketed = host.startswith("[") and host.endswith("]")
    host = unquote(host[1:-1] if bracketed else host)
    if (":" in host and not bracketed) or not number.isdecimal() or not 0 < int(number) < 65536:
        raise OptionError(
            "a port is no number from 1 to 65535, or an IPv6 address has no brackets. A password "
            "is percent-encoded and stands before an @: redis://user:password@host:6379/0"
        )
    return Node(host or "localhost", int(number))


def _with_query(fields: dict[str, Any], query: str, own: Mapping[str, Any]) -> Options:
    pubsub, sentinel = fields["pubsub"], fields.get("topology") == "sentinel"
    others: dict[str, Convert] = {**_PLACE, **(_SENTINEL if sentinel else {})}
    client, mine, seen = dict[str, Any](), dict[str, Any](), set[str]()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise OptionError(f"{name}= stands there twice")
        seen.add(name)
        if name in (PUBSUB if pubsub else OWN):
            mine[name] = value
        elif name in CLIENT:
            if name.startswith("ssl_") and not fields.get("tls") and "sentinel_tls" not in query:
                raise OptionError(f"{name}= is for TLS: rediss://")
            client[name] = CLIENT[name](name, value)
        elif name in others:
            field = {"db": "database", "username": "user", "sentinel_username": "sentinel_user"}
            fields[field.get(name, name)] = others[name](name, value)
        elif name in _SET:
            raise OptionError(f"{name}= is set by the adapter: {_SET[name]}")
        else:
            known = ", ".join(sorted({*(PUBSUB if pubsub else OWN), *CLIENT, *others}))
            # What follows an & of a password is no name.
            shown = "parameter" if "password" in query else f"parameter {name}="
            raise OptionError(f"unknown {shown}; known: {known}")
    mine |= own
    return Options(**fields, **converted(mine, pubsub=pubsub), client=client)
