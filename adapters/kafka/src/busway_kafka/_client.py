"""Connections to the brokers: one for each broker and kind of work, and what the brokers say of
themselves.

aiokafka brings the connection, its security and the protocol's structures. Whom to ask, how long to
wait and what an error means is decided here, so that every wait has a deadline of ours.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import anyio
from aiokafka.errors import KafkaError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from busway import TransportError

from ._connecting import Connecting, Connection
from ._errors import NotSent, Unanswered, checked, unreachable
from ._options import Options

__all__ = ["Client"]

_SOON = frozenset({14, 15})


class Client:
    """The brokers of one cluster, for one transport.

    A ``lane`` names a kind of work with a connection of its own: a broker answers the requests of
    one connection one after another, so what waits long must not stand before what does not.
    """

    def __init__(self, options: Options) -> None:
        self.timeout = options.timeout
        self.cluster_id = ""
        self.leaders: dict[str, dict[int, int]] = {}
        """Of every topic seen, the broker that leads each partition; -1 where there is none."""
        self.refreshed = 0.0
        """When the brokers last said so (``time.monotonic``)."""
        self._options = options
        self._connecting = Connecting(options)
        self._nodes: dict[int, tuple[str, int]] = {}
        self._controller = -1
        self._teller: int | str | None = None
        self._connections: dict[tuple[int | str, str], Connection] = {}
        self._dialling: dict[tuple[int | str, str], asyncio.Lock] = {}
        self._coordinators: dict[str, int] = {}
        self._refreshing: asyncio.Task[None] | None = None

    # --- open and close

    async def open(self) -> None:
        """See that there is somebody. Raises TransportError within the deadline."""
        try:
            await self.refresh()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all connections. It ends soon, whoever is there."""
        with anyio.CancelScope(shield=True):
            if self._refreshing is not None:
                self._refreshing.cancel()
                # A connection that it was making is to be closed with the others.
                await asyncio.gather(self._refreshing, return_exceptions=True)
                self._refreshing = None
            self.close_lane(None)
            await self._connecting.closed()
        self._nodes.clear()
        self._coordinators.clear()

    def close_lane(self, lane: str | None) -> None:
        """Close the connections of one kind of work, or all; who waits on them is told."""
        for where in [w for w in self._connections if lane is None or w[1] == lane]:
            self._connecting.hang_up(self._connections.pop(where), "SHUTDOWN")
            self._dialling.pop(where, None)

    # --- asking

    async def ask(
        self, node: int | str | None, request: Any, *, lane: str = "", timeout: float | None = None
    ) -> Any:
        """The answer of one broker (its number, or where it is; None: of any) to one request.

        Raises NotSent, or Unanswered when the request had left this process.
        """
        seconds = self.timeout if timeout is None else timeout
        connection: Connection | None = None
        answer: Any = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connection(self._chosen(node), lane)
                answer = connection.send(request)
                return await answer
        except TimeoutError:
            if answer is None:
                raise NotSent(f"Kafka cannot be reached within {seconds:g} s") from None
            assert connection is not None
            # Whatever else waits there waits behind what is not answered.
            self._connecting.hang_up(connection, "CONNECTION_TIMEOUT")
            raise Unanswered(
                f"Kafka at {_place(connection)} did not answer within {seconds:g} s"
            ) from None
        except (KafkaError, OSError) as error:
            assert connection is not None
            if answer is None:
                raise unreachable(_place(connection), error) from error
            raise Unanswered(f"Kafka at {_place(connection)} did not answer: {error}") from error

    def _chosen(self, node: int | str | None) -> int | str:
        if node is not None:
            return node
        if self._nodes:
            # One that is connected to already answers soonest; and one that is down is never that.
            open_ = [n for n in self._nodes if self._is_open((n, ""))]
            return random.choice(open_ or list(self._nodes))
        return random.choice(self._options.servers)

    def _is_open(self, where: tuple[int | str, str]) -> bool:
        connection = self._connections.get(where)
        return connection is not None and connection.connected()

    async def _connection(self, node: int | str, lane: str) -> Connection:
        where = (node, lane)
        if self._is_open(where):
            return self._connections[where]
        lock = self._dialling.setdefault(where, asyncio.Lock())
        async with lock:
            if not self._is_open(where):
                self._connections[where] = await self._dial(node)
            return self._connections[where]

    async def _dial(self, node: int | str) -> Connection:
        return await self._connecting.dial(*self._address(node))

    def _address(self, node: int | str) -> tuple[str, int]:
        if isinstance(node, int):
            try:
                return self._nodes[node]
            except KeyError:
                raise NotSent(f"no broker {node} is known of this cluster") from None
        host, _, port = node.rpartition(":")
        return host.strip("[]"), int(port)

    # --- what the brokers say of themselves

    async def refresh(self) -> None:
        """Ask for all topics and brokers. Those who ask at the same time share one answer."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        # Brokers hear of a topic one after another. By one alone, what was there stays there.
        self._teller = self._chosen(self._teller if self._teller in self._nodes else None)
        try:
            request = MetadataRequest(None, allow_auto_topic_creation=False)
            said = await self.ask(self._teller, request)
        except TransportError as error:
            if is_denied(error):
                raise
            # Those that were known may all have moved; what the URL names is asked then.
            self._nodes.clear()
            said = await self._first_to_answer()
        self.refreshed = time.monotonic()
        self.cluster_id = said.cluster_id or ""
        self._controller = said.controller_id
        self._nodes = {node: (host, port) for node, host, port, _ in said.brokers}
        self.leaders = {
            topic: {number: -1 if bad == 5 else leader for bad, number, leader, *_ in partitions}
            for code, topic, _, partitions in said.topics
            if not code
        }

    async def _first_to_answer(self) -> Any:
        problem: TransportError | None = None
        for server in random.sample(self._options.servers, len(self._options.servers)):
            try:
                request = MetadataRequest(None, allow_auto_topic_creation=False)
                return await self.ask(server, request)
            except TransportError as error:
                problem = error
        assert problem is not None, "Options name a server at least"
        if len(self._options.servers) > 1 and problem.retryable:
            servers = ", ".join(self._options.servers)
            raise NotSent(f"none of {servers} answers; the last: {problem}") from problem
        raise problem

    @property
    def nodes(self) -> list[int]:
        """The brokers that are there."""
        return list(self._nodes)

    @property
    def controller(self) -> int | None:
        return self._controller if self._controller in self._nodes else None

    def leader(self, topic: str, partition: int) -> int | None:
        """The broker that leads a partition; None when nobody is known to."""
        node = self.leaders.get(topic, {}).get(partition, -1)
        return node if node in self._nodes else None

    def partitions(self, topic: str) -> int:
        """How many a topic has; 0 when it is not known."""
        return len(self.leaders.get(topic, ()))

    async def coordinator(self, group: str) -> int:
        """The broker that looks after a group; remembered until ``moved`` is told."""
        node = self._coordinators.get(group)
        if node is None:
            node = await self._find_coordinator(group)
            if node not in self._nodes:
                await self.refresh()
            self._coordinators[group] = node
        return node

    async def _find_coordinator(self, group: str) -> int:
        """A cluster that has just begun has none for the first moment."""
        until, pause = time.monotonic() + self.timeout, 0.02
        while True:
            said = await self.ask(None, FindCoordinatorRequest(group, 0))
            if said.error_code not in _SOON or time.monotonic() + pause > until:
                checked(said.error_code, f"looking for the coordinator of group {group!r}")
                node: int = said.coordinator_id
                return node
            await asyncio.sleep(pause)
            pause = min(0.3, pause * 2)

    def moved(self, group: str) -> None:
        """The coordinator is another one now, or may be."""
        self._coordinators.pop(group, None)


def is_denied(error: TransportError) -> bool:
    """Whether trying another broker, or later, is of no use."""
    return not error.retryable


def _place(connection: Connection) -> str:
    return f"{connection.host}:{connection.port}"
