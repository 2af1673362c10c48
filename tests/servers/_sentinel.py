"""A master, its replicas, and three Sentinels that watch them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from ._connection import ErrorReply
from ._errors import ServerError
from ._node import Node
from ._program import version
from ._redis import RedisServer
from ._until import until

__all__ = ["RedisSentinel"]


class RedisSentinel:
    """Sentinels with one service; its master may move, by ``failover()`` or when it is ended.

    ``down_after`` is in seconds: how long a master does not answer before it is taken for dead.
    """

    service = "busway"

    def __init__(
        self, *, replicas: int = 2, down_after: float = 2.0, patience: float = 60.0
    ) -> None:
        self.patience = patience
        self.servers = [RedisServer() for _ in range(1 + replicas)]
        self.sentinels = [_Sentinel(self.servers[0], self.service, down_after) for _ in range(3)]

    @property
    def url(self) -> str:
        """With the address of every Sentinel, the service and database 0."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}/0"

    @property
    def master(self) -> RedisServer:
        """The server that the Sentinels say is the master."""
        for sentinel in self.sentinels:
            if sentinel.running:
                return self._at(sentinel.master_port())
        raise ServerError("no Sentinel runs")

    @property
    def replicas(self) -> list[RedisServer]:
        master = self.master
        return [each for each in self.servers if each is not master]

    def start(self) -> Self:
        for server in self.servers:
            server.start()
        for replica in self.servers[1:]:
            replica.command("REPLICAOF", "127.0.0.1", self.servers[0].port)
            # Kept for a restart, as the Sentinels themselves do it.
            replica.command("CONFIG", "REWRITE")
        for sentinel in self.sentinels:
            sentinel.start()
        self.wait_until_settled()
        return self

    def failover(self) -> RedisServer:
        """Move the master as an operator does, and wait until all agree; the new master."""
        before = self.master

        def begun() -> bool:
            try:
                self.sentinels[0].command("SENTINEL", "FAILOVER", self.service)
            except ErrorReply as error:
                # INPROG is one that we asked for; NOGOODSLAVE is a replica not in step yet.
                return str(error).startswith("INPROG")
            return True

        until(begun, "a failover that begins", self.patience, log=self._log)
        return self.wait_for_other_master(before)

    def wait_for_other_master(self, before: RedisServer) -> RedisServer:
        """Wait until another than this one is the master, for all Sentinels; the new master."""
        until(
            lambda: self.master is not before and self._settled(),
            "another master",
            self.patience,
            log=self._log,
        )
        return self.master

    def wait_until_settled(self) -> None:
        """Wait until all who run agree about the master, and every other server is its replica."""
        until(self._settled, "a service that every Sentinel knows", self.patience, log=self._log)

    def close(self) -> None:
        with ExitStack() as stack:
            for each in [*self.servers, *self.sentinels]:
                stack.callback(each.close)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _at(self, port: int) -> RedisServer:
        return next(each for each in self.servers if each.port == port)

    def _settled(self) -> bool:
        """Every Sentinel that runs knows the others, names one master, and this master has every
        other server that runs as its replica."""
        awake = [each for each in self.sentinels if each.running]
        ports = {each.master_port() for each in awake}
        if len(ports) != 1 or any(each.sees(self.service) != "master" for each in awake):
            return False
        master = self._at(ports.pop())
        others = [each for each in self.servers if each is not master and each.running]
        info = master.info("replication")
        online = [name for name, value in info.items() if "state=online" in value]
        return info["role"] == "master" and len(online) == len(others)

    def _log(self) -> str:
        return "\n\n".join(each.log for each in [*self.servers, *self.sentinels])


class _Sentinel(Node):
    arguments = ("--sentinel",)

    def __init__(self, master: RedisServer, service: str, down_after: float) -> None:
        super().__init__()
        self._master = master
        self._service = service
        self._down_after = int(down_after * 1000)

    def configuration(self) -> list[str]:
        name = self._service
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.folder}",
            f"sentinel monitor {name} 127.0.0.1 {self._master.port} 2",
            f"sentinel down-after-milliseconds {name} {self._down_after}",
            f"sentinel failover-timeout {name} 5000",
        ]

    def start(self, *, ready: bool = True) -> Self:
        super().start(ready=ready)
        # Otherwise it asks the servers every ten seconds only, and a failover waits for that.
        if ready and version() >= (7, 0):
            self.command("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 500)
        return self

    def master_port(self) -> int:
        reply = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        if not isinstance(reply, list):
            raise ServerError(f"the Sentinel knows no {self._service!r}: {reply!r}")
        return int(str(reply[1]))

    def sees(self, service: str) -> str:
        """The flags of the service's master: ``master`` alone when all is well. Empty while it
        does not know both of the other Sentinels."""
        reply = self.command("SENTINEL", "MASTER", service)
        assert isinstance(reply, list)
        known = dict(zip(map(str, reply[::2]), map(str, reply[1::2]), strict=True))
        return known["flags"] if known["num-other-sentinels"] == "2" else ""
