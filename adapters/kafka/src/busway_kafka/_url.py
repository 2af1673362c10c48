"""A URL to options.

What cannot be read is never quoted: it may be a piece of a password that should have been escaped.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
from aiokafka.abc import AbstractTokenProvider

from busway import OptionError
from busway.transport.options import Convert, choice, secret, text, whole

from ._foreign import Decoder
from ._options import OWN, Options, converted
from ._security import MECHANISMS, PROTOCOLS, Security

__all__ = ["CLIENT", "SASL", "SCHEMES", "TLS", "parse"]

SCHEMES: Final = tuple(PROTOCOLS)
_PORT: Final = 9092

CLIENT: Final[Mapping[str, Convert]] = {
    "client_id": text,
    "connections_max_idle_ms": whole(1),
    "retry_backoff_ms": whole(1),
}
"""The client's own options that a URL may hold."""

SASL: Final[Mapping[str, tuple[str, Convert]]] = {
    "sasl_kerberos_domain_name": ("kerberos_domain", text),
    "sasl_kerberos_service_name": ("kerberos_service", text),
    "sasl_mechanism": ("mechanism", choice(*MECHANISMS)),
    "sasl_plain_password": ("password", secret),
    "sasl_plain_username": ("user", text),
}
"""Its options that say who comes, and what ``Security`` calls them."""

TLS: Final[Mapping[str, tuple[str, Convert]]] = {
    "ssl_cafile": ("ca_file", text),
    "ssl_certfile": ("certificate", text),
    "ssl_keyfile": ("key", text),
    "ssl_password": ("key_password", secret),
}
"""The files of a TLS connection, by the names that Kafka's clients in Python have in common."""

_SET: Final[Mapping[str, str]] = {
    "api_version": "it is agreed on with each broker",
    "bootstrap_servers": "they are the URL's hosts",
    "decoder": "it can be given in code only: KafkaTransport(url, decoder=…)",
    "metadata_max_age_ms": "see metadata_age=",
    "request_timeout_ms": "see timeout=",
    "sasl_oauth_token_provider": "it can be given in code only: KafkaTransport(token_provider=…)",
    "security_protocol": "the scheme says it: kafka, kafka+ssl, kafka+sasl or kafka+sasl_ssl",
    "ssl_context": "it can be given in code only: KafkaTransport(ssl_context=…)",
}
"""The client's options that the adapter sets, and why."""


def parse(
    url: str,
    *,
    token_provider: AbstractTokenProvider | None = None,
    ssl_context: ssl.SSLContext | None = None,
    decoder: Decoder | None = None,
    **own: Any,
) -> Options:
    """The options in a URL; the adapter's own may be given beside it, and count before it.

    Raises OptionError.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    objects: dict[str, Any] = {"token_provider": token_provider, "context": ssl_context}
    try:
        if not separator or scheme not in SCHEMES:
            raise OptionError(f"it takes {', '.join(f'{each}://' for each in SCHEMES)}")
        options = _parsed(scheme, rest, own, objects)
        return options if decoder is None else msgspec.structs.replace(options, decoder=decoder)
    except OptionError as error:
        shown = f"{scheme}://…: " if separator and scheme in SCHEMES else ""
        raise OptionError(f"{shown}{error}") from None


def _parsed(scheme: str, rest: str, own: dict[str, Any], objects: dict[str, Any]) -> Options:
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    if "@" in path or "@" in query or "#" in rest:
        raise OptionError(
            "there is an @ behind the hosts, or a #: percent-encode those characters of the user, "
            "the password and the parameters that mean something in a URL (/ ? # & % @ :)"
        )
    if path:
        raise OptionError("nothing stands behind the hosts but parameters: kafka://h1,h2:9092/?…")
    login, _, hosts = authority.rpartition("@")
    fields = {name: value for name, value in objects.items() if value is not None}
    fields |= _login(login)
    tls = scheme.endswith("ssl")
    if "context" in fields and not tls:
        raise OptionError("ssl_context= is for TLS: kafka+ssl:// or kafka+sasl_ssl://")
    servers = tuple(_server(each) for each in hosts.split(","))
    named, mine, client = _sorted(query, sasl="sasl" in scheme, tls=tls)
    security = Security(protocol=PROTOCOLS[scheme], **fields | named)
    return Options(servers=servers, security=security, client=client, **converted(mine | own))


def _login(login: str) -> dict[str, Any]:
    user, separator, password = login.partition(":")
    fields: dict[str, Any] = {}
    if user:
        fields["user"] = unquote(user)
    if separator:
        fields["password"] = secret("password", unquote(password))
    return fields


def _server(given: str) -> str:
    host, separator, number = given.rpartition(":")
    if not separator or given.endswith("]"):
        host, number = given, str(_PORT)
    bracketed = host.startswith("[") and host.endswith("]")
    if (":" in host and not bracketed) or not number.isdecimal() or not 0 < int(number) < 65536:
        raise OptionError(
            "a port is no number from 1 to 65535, or an IPv6 address has no brackets. A password "
            "is percent-encoded and stands before an @: kafka+sasl_ssl://user:password@host:9092/"
        )
    return f"{unquote(host) or 'localhost'}:{int(number)}"


def _sorted(
    query: str, *, sasl: bool, tls: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The parameters: those of ``Security``, the adapter's own, the client's."""
    named, mine, client, seen = dict[str, Any](), dict[str, Any](), dict[str, Any](), set[str]()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise OptionError(f"{name}= stands there twice")
        seen.add(name)
        if name in OWN:
            mine[name] = value
        elif name in CLIENT:
            client[name] = CLIENT[name](name, value)
        elif name in SASL or name in TLS:
            if not (sasl if name in SASL else tls):
                wanted = "kafka+sasl:// or kafka+sasl_ssl://" if name in SASL else "kafka+ssl://"
                raise OptionError(f"{name}= is for {wanted}")
            field, convert = (SASL if name in SASL else TLS)[name]
            named[field] = convert(name, value)
        elif name in _SET:
            raise OptionError(f"{name}= is set by the adapter: {_SET[name]}")
        else:
            known = ", ".join(sorted({*OWN, *CLIENT, *SASL, *TLS}))
            # What follows an & of a password is no name.
            shown = "parameter" if "password" in query else f"parameter {name}="
            raise OptionError(f"unknown {shown}; known: {known}")
    return named, mine, client
