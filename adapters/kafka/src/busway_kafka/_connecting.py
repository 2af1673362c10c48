"""Making connections to brokers, and seeing that they are gone when they were closed.

aiokafka brings the connection with its security. How its errors are told is decided here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from importlib.util import find_spec
from typing import Any, Protocol

from aiokafka import conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import ApiVersionRequest

from busway import OptionError

from ._errors import failed, is_denial, unreachable
from ._options import Options

__all__ = ["Connecting", "Connection"]

# What the connection itself waits; ours are shorter and say more.
_FOR_EVER_MS = 3_600_000
_GOODBYE = 0.5
"""Seconds for which a broker may take leave. With TLS it is asked to; who is away never does."""
_BY_TOKEN = "OAUTHBEARER"
_NOT_LET_IN = 34
# Half of its types are not there.
_conn: Any = conn


class _Secrets(logging.Filter):
    """aiokafka writes each request into its log for debugging: those with passwords, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        return not any("SaslAuthenticateRequest" in type(each).__name__ for each in args)


logging.getLogger("aiokafka.conn").addFilter(_Secrets())


class Connection(Protocol):
    """aiokafka's own, as far as it is used."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    def connected(self) -> bool: ...
    def send(self, request: Any) -> Any: ...
    def close(self, reason: Any = None) -> object: ...


class Connecting:
    """Of one client."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._closing: dict[asyncio.Future[None], asyncio.Transport] = {}
        self._made_with: dict[str, Any] | None = None

    async def dial(self, host: str, port: int) -> Connection:
        """Raises NotSent, or OptionError when a package is missing. It has no deadline."""
        options = self._security()
        if options.get("sasl_mechanism") == "GSSAPI" and find_spec("gssapi") is None:
            raise OptionError("sasl_mechanism=GSSAPI takes the package gssapi")
        where = f"{host}:{port}"
        connection: Any = _conn.AIOKafkaConnection(
            host,
            port,
            client_id=options.get("client_id", "busway"),
            request_timeout_ms=_FOR_EVER_MS,
            ssl_context=options.get("ssl_context"),
            security_protocol=options.get("security_protocol", "PLAINTEXT"),
            max_idle_ms=options.get("connections_max_idle_ms", 540_000),
            **{name: value for name, value in options.items() if name.startswith("sasl_")},
        )
        good = False
        try:
            await connection.connect()
            _see_that_it_talks(connection)
            if options.get("sasl_mechanism") == _BY_TOKEN:
                await _see_that_it_is_let_in(connection)
            good = True
        except (OSError, KafkaError) as error:
            raise unreachable(where, error, self._advice(error)) from error
        except Exception as error:  # a token provider's own, or a broker's that is none
            raise failed(where, error) from error
        finally:
            # Whoever stops waiting for it stops at any place.
            if not good:
                self._see_off(connection)
                connection.close()
        made: Connection = connection
        return made

    def _advice(self, error: BaseException) -> str:
        """What to do about it, where that is known."""
        security = self._options.security
        if isinstance(error, ssl.SSLCertVerificationError):
            return "see ssl_cafile=, and whether the certificate is for this host"
        if isinstance(error, UnsupportedSaslMechanismError):
            return "see sasl_mechanism="
        if is_denial(error) and security.mechanism == _BY_TOKEN:
            return "see what the token_provider gives"
        if is_denial(error):
            return (
                "see the user and the password of the URL (percent-encoded), and "
                f"sasl_mechanism={security.mechanism}"
            )
        if isinstance(error, KafkaConnectionError) and not security.tls:
            return "if it takes TLS, the URL begins with kafka+ssl:// or kafka+sasl_ssl://"
        return ""

    def hang_up(self, connection: Connection, reason: str) -> None:
        """At once; who waits on it is told."""
        self._see_off(connection)
        connection.close(reason=getattr(_conn.CloseReason, reason))

    def _see_off(self, connection: Any) -> None:
        # Of a connection that was never made, there is neither.
        transport = getattr(getattr(connection, "_protocol", None), "_transport", None)
        if transport is not None and not connection._closed_fut.done():
            closing: asyncio.Future[None] = connection._closed_fut
            self._closing[closing] = transport
            closing.add_done_callback(lambda _: self._closing.pop(closing, None))

    def _security(self) -> dict[str, Any]:
        """What each connection is made with. The files are read when the first one is: a process
        that has a certificate goes on when somebody moves it away."""
        if self._made_with is None:
            self._made_with = self._options.client_options()
        return self._made_with

    async def closed(self) -> None:
        """Return when no connection is left that was closed; whom nobody answers is cut off."""
        self._made_with = None
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=_GOODBYE)
        for transport in self._closing.values():
            transport.abort()
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=_GOODBYE)


def _see_that_it_talks(connection: Any) -> None:
    """Else it would refuse whatever is asked, and look well, for as long as it is kept."""
    if not connection._versions:
        raise KafkaConnectionError("it does not say which requests it takes")


async def _see_that_it_is_let_in(connection: Any) -> None:
    """A broker says no to a token in a way that aiokafka takes for a yes, and then to all else."""
    said = await connection.send(ApiVersionRequest())
    if said.error_code == _NOT_LET_IN:
        raise SaslAuthenticationFailed("the broker does not take the token")
