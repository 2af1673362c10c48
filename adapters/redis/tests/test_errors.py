"""What a server says, and what can go wrong on the way to it, as errors of ours."""

from __future__ import annotations

import pickle
import socket
import ssl

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from busway.errors import TransportError
from busway_redis._errors import NotSent, Refused, Unanswered, is_reply, refused, unreachable

RETRYABLE = {
    "ASK 1 127.0.0.1:7000": "on its way to another node",
    "BUSY Redis is busy running a script.": "SCRIPT KILL",
    "CLUSTERDOWN Hash slot not served": "CLUSTER INFO",
    "LOADING Redis is loading the dataset in memory": "when it has it all",
    "MASTERDOWN Link with MASTER is down": "wait for a failover",
    "MISCONF Redis is configured to save RDB snapshots": "free its disk",
    "MOVED 1 127.0.0.1:7000": "redis+cluster://",
    "NOGROUP No such key 'k' or consumer group 'g'": "was deleted",
    "NOREPLICAS Not enough good replicas to write.": "min-replicas-to-write",
    "NOSCRIPT No matching script. Please use EVAL.": "restarted or flushed",
    "OOM command not allowed when used memory > 'maxmemory'.": "raise its maxmemory",
    "READONLY You can't write against a read only replica.": "is a replica",
    "TRYAGAIN Multiple keys request during rehashing of slot": "on its way",
    "UNBLOCKED force unblock from blocking operation": "became a replica",
    "ERR max number of clients reached": "maxclients",
}
FINAL = {
    "BUSYGROUP Consumer Group name already exists": "exists",
    "CROSSSLOT Keys in request don't hash to the same slot": "one hash tag",
    "DENIED Redis is running in protected mode": "give it a password",
    "EXECABORT Transaction discarded because of previous errors.": "was refused",
    "NOAUTH Authentication required.": "wants a password",
    "NOPERM User app has no permissions to run the 'xadd' command": "ACL rules",
    "WRONGPASS invalid username-password pair or user is disabled.": "percent-encoded",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "prefix=",
    "ERR AUTH <password> called without any password configured": "has no password",
    "ERR Client sent AUTH, but no password is set": "has no password",
    "ERR The user executing the script can't run this command or subcommand": "ACL rules",
    "ERR DB index is out of range": "fewer databases",
    "ERR SELECT is not allowed in cluster mode": "database 0 only",
    "ERR unknown command 'XAUTOCLAIM'": "6.2",
    "ERR unknown command 'SENTINEL'": "It is no Sentinel",
    "ERR syntax error": "syntax error",
}


def said(text: str) -> RedisError:
    """As the client raises it."""
    error = BaseParser.parse_error(text)
    assert isinstance(error, RedisError)
    return error


@pytest.mark.parametrize("text", [*RETRYABLE, *FINAL])
def test_an_answer_has_its_code_and_says_what_to_do(text: str) -> None:
    error = refused(said(text))
    assert isinstance(error, TransportError)
    assert error.code == text.split()[0]
    assert error.retryable is (text in RETRYABLE)
    assert {**RETRYABLE, **FINAL}[text] in str(error)
    assert text.rstrip(". ") in str(error), "the server's own words are kept"
    assert str(error).count(error.code) == 1 or error.code in ("BUSY", "MASTERDOWN")


@pytest.mark.parametrize("text", [*RETRYABLE, *FINAL])
def test_every_answer_is_told_from_a_broken_connection(text: str) -> None:
    assert is_reply(said(text))


@pytest.mark.parametrize(
    "error", [ConnectionError("Connection closed by server."), TimeoutError("slow"), OSError(9)]
)
def test_a_broken_connection_is_no_answer(error: Exception) -> None:
    assert not is_reply(error)


@pytest.mark.parametrize("text", [text for text in [*RETRYABLE, *FINAL] if "MOVED" not in text])
def test_a_client_that_keeps_no_code_loses_none(text: str) -> None:
    """Older versions raise the class alone."""
    error = said(text)
    if hasattr(error, "status_code"):
        error.status_code = None  # type: ignore[attr-defined]
    assert refused(error).retryable is (text in RETRYABLE)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("@user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("@user_script:3: BUSYGROUP Consumer Group name already exists.", "BUSYGROUP"),
    ],
)
def test_what_a_command_of_a_script_was_answered_by_redis_6_is_the_answer(
    told: str, code: str
) -> None:
    text = f"ERR Error running script (call to f_1b): @user_script:3: {told}"
    assert refused(said(text)).code == code


def test_arguments_that_a_server_repeats_are_cut() -> None:
    """A server on which AUTH was renamed answers with the password."""
    error = refused(said("ERR unknown command 'AUTH', with args beginning with: 'me' 'hush' "))
    assert str(error) == ("ERR unknown command 'AUTH'. Redis 6.2 is the oldest that is supported")
    assert error.__cause__ is None


def test_where_in_a_script_a_command_was_refused_is_cut() -> None:
    noise = f"script: {'0f' * 20}, on @user_script:7."
    error = refused(said(f"OOM command not allowed when used memory > 'maxmemory'. {noise}"))
    assert "user_script" not in str(error)
    assert "'maxmemory'. The server is full" in str(error)


def test_a_question_of_the_server_gets_no_full_stop() -> None:
    question = "ERR AUTH <password> called without any password configured. Are you sure?"
    assert "sure? The server has no password" in str(refused(said(question)))


def test_a_server_that_is_silent_while_tls_begins_is_asked_about_it() -> None:
    slow = TimeoutError("Timeout connecting to server")
    assert "Does it speak TLS?" in str(unreachable("h:6379", slow, tls=True))
    assert "TLS" not in str(unreachable("h:6379", slow))


def test_the_answer_is_the_cause() -> None:
    answer = ResponseError("BUSYKEY Target key name already exists.")
    error = refused(answer)
    assert (error.code, error.retryable, error.__cause__) == ("BUSYKEY", False, answer)


def test_an_answer_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(refused(said("NOGROUP No such key"))))
    assert isinstance(error, Refused)
    assert (error.code, error.said, error.retryable) == ("NOGROUP", "No such key", True)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "why", "retryable"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('h', 1)"), "Connection refused", True),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory", True),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known", True),
        (TimeoutError("Timeout connecting to server"), "no connection in time", True),
        (ConnectionError("Connection closed by server."), "Connection closed by server.", True),
        (said("LOADING Redis is loading the dataset in memory"), "LOADING", True),
        (said("WRONGPASS invalid username-password pair"), "WRONGPASS", False),
        (said("NOAUTH Authentication required."), "NOAUTH", False),
        (caused(ConnectionError("x"), said("NOAUTH Authentication required.")), "NOAUTH", False),
        (ssl.SSLCertVerificationError(1, "x"), "its certificate is not accepted", False),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"), "no TLS with it", False),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "no connection", True),
    ],
)
def test_why_there_is_no_connection_is_said(error: Exception, why: str, retryable: bool) -> None:
    ours = unreachable("h:1", error)
    assert isinstance(ours, NotSent)
    assert str(ours).startswith("h:1: ")
    assert why in str(ours)
    assert ours.retryable is retryable
    assert ours.__cause__ is not None


def test_not_sent_and_unanswered_are_no_kinds_of_each_other() -> None:
    assert not issubclass(NotSent, Unanswered | Refused)
    assert not issubclass(Unanswered, NotSent | Refused)
