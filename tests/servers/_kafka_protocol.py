"""As much of Kafka's protocol as a fixture needs: two questions. The tests of an adapter must not
look through the adapter's client."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

__all__ = ["Partition", "View", "ask_coordinator", "look"]

_METADATA, _FIND_COORDINATOR = 3, 10
T = TypeVar("T")


class Partition(NamedTuple):
    """Brokers by their numbers."""

    leader: int
    """-1 where there is none."""
    replicas: frozenset[int]
    in_step: frozenset[int]


class View(NamedTuple):
    """What one broker knows."""

    cluster: str
    brokers: Mapping[int, int]
    """The ports of those that are up, by their numbers."""
    partitions: Mapping[tuple[str, int], Partition]


def look(port: int, timeout: float = 5.0) -> View:
    """What the broker on this port knows. Raises OSError."""
    # The topics are null, which is all of them.
    return _read_view(_ask(port, _METADATA, 2, struct.pack(">i", -1), timeout))


def ask_coordinator(port: int, group: str, timeout: float = 5.0) -> int | None:
    """The number of the broker that looks after a group; None while nobody does."""
    name = group.encode()
    answer = _ask(port, _FIND_COORDINATOR, 0, struct.pack(">h", len(name)) + name, timeout)
    error, node = answer.number("h"), answer.number("i")
    return node if error == 0 else None


def _ask(port: int, kind: int, version: int, body: bytes, timeout: float) -> _Answer:
    # The correlation is 7, and the client has no name.
    request = struct.pack(">hhih", kind, version, 7, -1) + body
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            size = stream.read(4)
            data = stream.read(struct.unpack(">i", size)[0]) if len(size) == 4 else b""
    if len(data) < 4:
        raise ConnectionResetError("the server closed the connection")
    return _Answer(data, 4)


def _read_view(answer: _Answer) -> View:
    brokers = answer.array(lambda: _read_broker(answer))
    cluster = answer.text() or ""
    answer.number("i")
    found: dict[tuple[str, int], Partition] = {}
    for _ in range(answer.number("i")):
        answer.number("h")
        topic = answer.text() or ""
        answer.number("b")
        for number, partition in answer.array(lambda: _read_partition(answer)):
            found[topic, number] = partition
    return View(cluster, dict(brokers), found)


def _read_broker(answer: _Answer) -> tuple[int, int]:
    node, _, port = answer.number("i"), answer.text(), answer.number("i")
    answer.text()
    return node, port


def _read_partition(answer: _Answer) -> tuple[int, Partition]:
    _, number, leader = answer.number("h"), answer.number("i"), answer.number("i")
    replicas = answer.array(lambda: answer.number("i"))
    in_step = answer.array(lambda: answer.number("i"))
    return number, Partition(leader, frozenset(replicas), frozenset(in_step))


class _Answer:
    """Bytes that are read from their front."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place

    def number(self, kind: str) -> int:
        form = f">{kind}"
        (value,) = struct.unpack_from(form, self._data, self._place)
        self._place += struct.calcsize(form)
        return int(value)

    def text(self) -> str | None:
        size = self.number("h")
        if size < 0:
            return None
        begin, self._place = self._place, self._place + size
        return self._data[begin : self._place].decode()

    def array(self, read: Callable[[], T]) -> list[T]:
        return [read() for _ in range(self.number("i"))]
