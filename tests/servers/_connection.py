"""As much of Redis' protocol as a fixture needs: one command, one reply."""

from __future__ import annotations

import socket
from typing import IO

__all__ = ["Connection", "ErrorReply", "Reply"]

Reply = str | int | None | list["Reply"]


class ErrorReply(Exception):
    """The server answered with an error."""


class Connection:
    """A blocking connection. The tests of an adapter must not look through the adapter's client."""

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._replies: IO[bytes] = stream.makefile("rb")

    def command(self, *words: str | int | bytes) -> Reply:
        """Send a command and wait for its reply. Raises ErrorReply, OSError or TimeoutError."""
        parts = [each if isinstance(each, bytes) else str(each).encode() for each in words]
        bulks = b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in parts)
        self._socket.sendall(b"*%d\r\n%b" % (len(parts), bulks))
        return self._read()

    def close(self) -> None:
        self._replies.close()
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> Reply:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        match kind:
            case b"+":
                return rest
            case b"-":
                raise ErrorReply(rest)
            case b":":
                return int(rest)
            case b"$":
                return self._bulk(int(rest))
            case b"*":
                return None if rest == "-1" else [self._read() for _ in range(int(rest))]
            case _:
                raise ConnectionError(f"no reply of RESP2: {line!r}")

    def _bulk(self, size: int) -> str | None:
        if size < 0:
            return None
        data = self._replies.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionResetError("the server closed the connection")
        return data[:-2].decode("utf-8", "backslashreplace")
