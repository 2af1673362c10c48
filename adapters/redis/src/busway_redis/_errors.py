"""What went wrong with Redis, as the errors the core knows.

Three things can become of a command: the server never saw it, the server answered with an error,
or nobody knows. Each is a class here, because what may be done next depends on it alone.

What a server says is told, with what to do about it. Only the arguments of a command that it
repeats are cut: they may be a password, or an event.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ExecAbortError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from busway import TransportError

__all__ = ["NotSent", "Refused", "Unanswered", "is_reply", "refused", "unreachable"]


class NotSent(TransportError):
    """The server never saw the command. To send it again is safe."""


class Unanswered(TransportError):
    """The command was written and no answer came: it may have been executed."""


class Refused(TransportError):
    """The server answered with an error, and did not execute the command. (Of a script it may have
    executed what came before the step that it refused.)

    ``code`` is the error's first word: ``OOM``, ``NOGROUP``, ``WRONGTYPE``; ``ERR`` where Redis has
    none. ``said`` is the server's own text behind it.
    """

    def __init__(self, code: str, said: str) -> None:
        case = _CASES.get(code) or _without_code(said) or _UNKNOWN
        text = f"{code} {said}".rstrip(". ")
        text += "" if text.endswith("?") else "."
        super().__init__(f"{text} {case.advice}".rstrip(), retryable=case.retryable)
        self.code = code
        self.said = said

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return type(self), (self.code, self.said)


class _Case(NamedTuple):
    retryable: bool
    advice: str


_UNKNOWN = _Case(False, "")
_CASES = {
    "ASK": _Case(True, "The slot is on its way to another node"),
    "BUSY": _Case(
        True, "A script runs for too long on the server: SCRIPT KILL ends one that wrote nothing"
    ),
    "BUSYGROUP": _Case(False, "The consumer group exists"),
    "CLUSTERDOWN": _Case(
        True, "The cluster serves again when every slot has a master: see CLUSTER INFO"
    ),
    "CROSSSLOT": _Case(False, "The keys of one command must share one hash tag on a cluster"),
    "DENIED": _Case(
        False, "The server takes connections from its own machine only: give it a password"
    ),
    "EXECABORT": _Case(False, "A command of the transaction was refused"),
    "LOADING": _Case(True, "The server reads its data and answers when it has it all"),
    "MASTERDOWN": _Case(
        True, "This replica has lost its master: connect to a master, or wait for a failover"
    ),
    "MISCONF": _Case(
        True, "The server cannot save to its disk and refuses writes: free its disk, see its log"
    ),
    "MOVED": _Case(
        True, "The slot is at another node of a cluster: use redis+cluster:// for a cluster"
    ),
    "NOAUTH": _Case(False, "The server wants a password: put it into the URL, percent-encoded"),
    "NOGROUP": _Case(True, "The stream or its consumer group was deleted"),
    "NOPERM": _Case(False, "The user's ACL rules forbid it: see the rules in the documentation"),
    "NOREPLICAS": _Case(True, "Fewer replicas are in step than min-replicas-to-write asks for"),
    "NOSCRIPT": _Case(True, "The server does not have the script: it was restarted or flushed"),
    "OOM": _Case(
        True, "The server is full: raise its maxmemory, shorten retention=, or let groups catch up"
    ),
    "READONLY": _Case(
        True, "This server is a replica: it was demoted, or the URL should name its master"
    ),
    "TRYAGAIN": _Case(True, "The slot is on its way to another node"),
    "UNBLOCKED": _Case(
        True, "The stream was deleted, or the server became a replica, while it was read"
    ),
    "WRONGPASS": _Case(
        False, "Check the user and the password, which must be percent-encoded in a URL"
    ),
    "WRONGTYPE": _Case(
        False, "Something else is stored under a key of the bus: rename it, or choose a prefix="
    ),
}
# These come as plain ERR.
_WITHOUT_CODE = {
    "max number of clients": _Case(True, "Raise maxclients of the server"),
    "unknown command 'sentinel'": _Case(
        False, "It is no Sentinel: a server has redis://, and Sentinels listen on port 26379 mostly"
    ),
    "unknown command": _Case(False, "Redis 6.2 is the oldest that is supported"),
    "client sent auth": _Case(False, "The server has no password: take it out of the URL"),
    "auth <password> called": _Case(False, "The server has no password: take it out of the URL"),
    "invalid password": _CASES["WRONGPASS"],
    "the user executing the script": _CASES["NOPERM"],
    "db index": _Case(False, "The server has fewer databases: see the database in the URL"),
    "select is not allowed": _Case(False, "A cluster has database 0 only"),
}

# The client cuts the code off, and not every version keeps it.
_CODE_OF_CLASS: dict[type[RedisError], str] = {
    AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    ClusterCrossSlotError: "CROSSSLOT",
    ExecAbortError: "EXECABORT",
    NoPermissionError: "NOPERM",
    NoScriptError: "NOSCRIPT",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
}
_CODE = re.compile(r"-?([A-Z]{2,})(?: |$)")
_IN_A_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]{2,} )")
_ARGUMENTS = re.compile(r",? with args beginning with.*", re.DOTALL)
_SCRIPT = re.compile(r",? *script: [0-9a-f]{40}, on @user_script:\d+\.?")


def is_reply(error: BaseException) -> bool:
    """Whether this is what a server answered. The client takes some answers for broken connections:
    ``LOADING``, ``NOAUTH``, the limit of clients."""
    if isinstance(error, ResponseError | AuthenticationError | BusyLoadingError):
        return True
    if not isinstance(error, RedisError):
        return False
    return bool(getattr(error, "status_code", None)) or _without_code(str(error)) is not None


def refused(error: RedisError) -> Refused:
    """The error a server answered with, as ours."""
    code, text = _split(error)
    said = _SCRIPT.sub("", _ARGUMENTS.sub("", text))
    ours = Refused(code, said)
    if said == text:
        ours.__cause__ = error
    return ours


def unreachable(where: str, error: BaseException, *, tls: bool = False) -> NotSent:
    """Why no connection to ``where`` could be made."""
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, RedisError) and is_reply(each):
            answer = refused(each)
            return _because(NotSent(f"{where}: {answer}", retryable=answer.retryable), answer)
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            why = f"its certificate is not accepted: {each.strerror}. See ssl_ca_certs="
            return _because(NotSent(f"{where}: {why}", retryable=False), error)
        if isinstance(each, ssl.SSLError) and not isinstance(each, ssl.SSLEOFError):
            why = f"no TLS with it: {each.strerror}. Does it speak TLS?"
            return _because(NotSent(f"{where}: {why}", retryable=False), error)
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        # A server that speaks no TLS waits for the rest of what it takes for a command.
        why = "no TLS connection in time. Does it speak TLS?" if tls else "no connection in time"
        return _because(NotSent(f"{where}: {why}"), error)
    why = f"no connection: {_text(chain)}. Is a server running there?"
    return _because(NotSent(f"{where}: {why}"), error)


def _because(ours: NotSent, error: BaseException) -> NotSent:
    ours.__cause__ = error
    return ours


def _without_code(said: str) -> _Case | None:
    text = said.lower()
    return next((case for start, case in _WITHOUT_CODE.items() if text.startswith(start)), None)


def _split(error: RedisError) -> tuple[str, str]:
    """The code and the text behind it."""
    text = str(error)
    inner = _IN_A_SCRIPT.search(text)
    if inner is not None:
        # Redis 6 wraps what a command of a script answered.
        text = text[inner.start(1) :]
    code = getattr(error, "status_code", None)
    if inner is None and isinstance(code, str) and code:
        return code, text.removeprefix(code).strip()
    if _without_code(text) is not None:
        return "ERR", text.removeprefix("ERR ")
    found = _CODE.match(text)
    if found is not None:
        return found[1], text[found.end() :].strip()
    for kind, known in _CODE_OF_CLASS.items():
        if isinstance(error, kind):
            return ("NOAUTH" if "required" in text else known), text
    # Of a moved slot the client keeps the address only; for the others the name is the code.
    name = type(error).__name__.removesuffix("Error").upper()
    return (name if name in _CASES else "ERR"), text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(chain: list[BaseException]) -> str:
    """What the system said, which the client wraps in words of its own."""
    for each in reversed(chain):
        if isinstance(each, OSError) and each.strerror:
            # asyncio has words of its own for what the system has a name for.
            number = each.errno or 0
            return os.strerror(number) if number > 0 else each.strerror
    return str(chain[0])
