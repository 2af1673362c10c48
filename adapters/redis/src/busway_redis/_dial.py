"""Making a connection.

The client's connection classes are used raw: its pools and its client send a command again of which
nobody knows whether it was executed, and hand out connections that the server has closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

from busway import OptionError
from busway.transport.options import Secret

from ._errors import unreachable
from ._options import Node, Options

__all__ = ["Bare", "Dial", "Dialer", "asked"]

Dial = Callable[[], Awaitable["Bare"]]
"""Makes a connected connection. Raises NotSent, in which there is no secret."""

_CONNECT_TIMEOUT: Final = 5.0
_AT_ONCE: Final = 65_536
"""Bytes: as much as a stream of asyncio holds before it asks the other side to wait."""
_KEEPALIVE: Final = ("socket_keepalive", "socket_keepalive_options", "socket_type")


class Bare(AbstractConnection):
    """The client's connection, without its patience and its pace.

    It waits neither for the other side's farewell nor for room to send what is left: neither may
    ever come. And it reads all that has come at once: the client's own way costs two coroutines
    for each answer, more than a command takes otherwise.
    """

    _unread: Any = None

    async def answers(self) -> list[Any]:
        """Wait for some answers; those that are errors among them, not raised. From the first call
        on nothing else may read from this connection.

        Raises what the client raises when the connection ends, or what came is no answer.
        """
        stream: Any = self._reader
        if self._unread is None:
            # What a parser says of an error is the client's: it knows their classes.
            said: Any = self._parser
            self._unread = hiredis.Reader(
                protocolError=InvalidResponse, replyError=said.parse_error
            )
        found: list[Any] = []
        while not found:
            data = await stream.read(_AT_ONCE)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            self._unread.feed(data)
            while (answer := self._unread.gets(False)) is not False:
                found.append(answer)
        return found

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        writer = self._writer
        await super().disconnect(*args, **kwargs)
        if writer is not None:
            writer.transport.abort()


class _PlainConnection(Bare, Connection):
    pass


class _SocketConnection(Bare, UnixDomainSocketConnection):
    pass


class _TlsConnection(Bare, SSLConnection):
    pass


class Dialer:
    """Makes connections to the servers of one set of options.

    ``timeout`` is how many seconds connecting, logging in included, may take. Making one raises
    OptionError for what the client does not take, and for a file of TLS that cannot be read.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        given = options.client.get("socket_connect_timeout")
        # Shorter than what waits for it, which can then say why.
        self.timeout = min(given or _CONNECT_TIMEOUT, 0.8 * options.timeout)
        self._common: dict[str, Any] = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in options.client.items()
        }
        self._common |= {
            # What these default to answers late, or sends twice.
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout,
        }
        self._context: Any = None
        self._check()

    def to(self, node: Node) -> Dial:
        """To a server."""
        options = self._options
        given: dict[str, Any] = {"host": node.host, "port": node.port, "db": options.database}
        given |= self._login(options.user, options.password)
        kind = _TlsConnection if options.tls else _PlainConnection
        return lambda: self._connect(str(node), kind, given)

    def to_socket(self, path: str) -> Dial:
        """To the server that listens on a Unix socket."""
        options = self._options
        given: dict[str, Any] = {"path": path, "db": options.database}
        given |= self._login(options.user, options.password)
        return lambda: self._connect(path, _SocketConnection, given)

    def to_sentinel(self, node: Node) -> Dial:
        """To a Sentinel, which has users of its own."""
        options = self._options
        given: dict[str, Any] = {"host": node.host, "port": node.port, "credential_provider": None}
        given |= _named(options.sentinel_user, options.sentinel_password)
        tls = options.tls if options.sentinel_tls is None else options.sentinel_tls
        kind = _TlsConnection if tls else _PlainConnection
        return lambda: self._connect(f"Sentinel {node}", kind, given)

    def _login(self, user: str | None, password: Secret | None) -> dict[str, Any]:
        return {} if "credential_provider" in self._common else _named(user, password)

    async def _connect(self, where: str, kind: type[Bare], given: dict[str, Any]) -> Bare:
        connection = self._made(kind, given)
        connect: Callable[[], Awaitable[None]] = connection.connect
        try:
            async with asyncio.timeout(self.timeout):
                await connect()
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if not isinstance(error, RedisError | OSError):
                raise
            failure = unreachable(where, error, tls=kind is _TlsConnection)
            raise failure from failure.__cause__
        return connection

    def _made(self, kind: type[Bare], given: dict[str, Any]) -> Bare:
        common = self._common
        if not issubclass(kind, SSLConnection):
            common = {name: common[name] for name in common if not name.startswith("ssl_")}
        if issubclass(kind, UnixDomainSocketConnection):
            common = {name: common[name] for name in common if name not in _KEEPALIVE}
        connection = kind(**{**common, **given})
        if isinstance(connection, SSLConnection):
            # To read the certificates of all authorities takes longer than to connect.
            if self._context is None:
                self._context = connection.ssl_context
            connection.ssl_context = self._context
        return connection

    def _check(self) -> None:
        options = self._options
        kind: type[Bare] = _PlainConnection
        if options.path is not None:
            kind = _SocketConnection
        elif options.tls or options.sentinel_tls:
            kind = _TlsConnection
        try:
            made = self._made(kind, {})
            if isinstance(made, SSLConnection):
                self._context.get()
        except (RedisError, TypeError, ValueError) as error:
            raise OptionError(f"{options.where}: the client does not take it: {error}") from error
        except OSError as error:
            files = ", ".join(
                f"{name}={value}"
                for name, value in options.client.items()
                if name in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
            )
            why = error.strerror or error
            raise OptionError(f"{options.where}: TLS cannot be set up: {why} ({files})") from error


async def asked(connection: AbstractConnection, *command: str, timeout: float) -> Any:
    """One command on a bare connection. Raises what the client raises."""
    async with asyncio.timeout(timeout):
        await connection.send_command(*command)
        read: Any = connection.read_response
        return await read(disable_decoding=True)


def _named(user: str | None, password: Secret | None) -> dict[str, Any]:
    return {"username": user, "password": None if password is None else password.reveal()}
