"""A Redis Cluster of three masters, each with one replica."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from ._errors import ServerError
from ._redis import RedisServer
from ._until import until

__all__ = ["RedisCluster"]

SLOTS = 16_384
MASTERS = 3

CONFIG = [
    "cluster-enabled yes",
    # A master that does not answer for this long (milliseconds) is replaced.
    "cluster-node-timeout 2000",
]


class RedisCluster:
    """Six servers on this machine. Which of them are masters may change as the tests go."""

    def __init__(self, *, patience: float = 60.0) -> None:
        self.patience = patience
        self.servers = [RedisServer(config=CONFIG) for _ in range(2 * MASTERS)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.servers)
        return f"redis+cluster://{hosts}"

    def start(self) -> Self:
        for server in self.servers:
            server.start()
        self._share_the_slots()
        self._meet()
        self._give_replicas()
        self.wait_until_whole()
        return self

    def slot_of(self, key: str) -> int:
        slot = self._anyone().command("CLUSTER", "KEYSLOT", key)
        assert isinstance(slot, int)
        return slot

    def master_of(self, slot: int) -> RedisServer:
        """The server that has the slot now."""
        shards = self._anyone().command("CLUSTER", "SLOTS")
        assert isinstance(shards, list)
        for shard in shards:
            assert isinstance(shard, list)
            first, last, master = shard[:3]
            assert isinstance(first, int)
            assert isinstance(last, int)
            assert isinstance(master, list)
            if first <= slot <= last:
                return self._at(master[1])
        raise ServerError(f"nobody has slot {slot}")

    def replica_of(self, master: RedisServer) -> RedisServer:
        """A server in step with this master. Raises ServerError when there is none."""
        for server in self.servers:
            if server is not master and server.running:
                info = server.info("replication")
                if info["role"] == "slave" and info["master_port"] == str(master.port):
                    return server
        raise ServerError(f"the master on port {master.port} has no replica")

    def failover(self, slot: int) -> RedisServer:
        """Let a replica take over from the master of the slot, in good order; the new master."""
        replica = self.replica_of(self.master_of(slot))
        replica.command("CLUSTER", "FAILOVER")
        until(
            lambda: replica.info("replication")["role"] == "master",
            "the replica as the master",
            self.patience,
            log=self._log,
        )
        self.wait_until_whole()
        return replica

    def begin_migration(self, slot: int, to: RedisServer) -> None:
        """From here on keys that are not at the old master any more are answered with ASK."""
        source = self.master_of(slot)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))

    def move_keys(self, slot: int, to: RedisServer, most: int = 10_000) -> int:
        """Move up to so many keys of a slot whose migration has begun; how many were there."""
        source = self.master_of(slot)
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, most)
        assert isinstance(keys, list)
        for key in keys:
            source.command("MIGRATE", "127.0.0.1", to.port, str(key), 0, 10_000)
        return len(keys)

    def end_migration(self, slot: int, to: RedisServer) -> None:
        """From here on the old master answers with MOVED. Its keys must have been moved."""
        # The new owner first: a slot that nobody owned in between would be down.
        for server in [to, *(each for each in self.servers if each is not to)]:
            if server.running and server.info("replication")["role"] == "master":
                server.command("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until each server that runs says that the cluster is ok, and names the same masters, and
        each replica has caught up."""
        until(self._whole, "a whole cluster", self.patience, log=self._log)

    def close(self) -> None:
        with ExitStack() as stack:
            for each in self.servers:
                stack.callback(each.close)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _share_the_slots(self) -> None:
        for number, server in enumerate(self.servers):
            server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, server in enumerate(self.servers[:MASTERS]):
            share = range(SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS)
            server.command("CLUSTER", "ADDSLOTS", *share)

    def _meet(self) -> None:
        first, *others = self.servers
        for each in others:
            first.command("CLUSTER", "MEET", "127.0.0.1", each.port)
        until(
            lambda: all(len(_nodes(each)) == len(self.servers) for each in self.servers),
            "servers that have all met",
            self.patience,
            log=self._log,
        )

    def _give_replicas(self) -> None:
        pairs = zip(self.servers[:MASTERS], self.servers[MASTERS:], strict=True)
        for master, replica in pairs:
            replica.command("CLUSTER", "REPLICATE", _id(master))

    def _whole(self) -> bool:
        awake = [each for each in self.servers if each.running]
        states = [str(each.command("CLUSTER", "INFO")) for each in awake]
        if not all("cluster_state:ok" in state for state in states):
            return False
        if len({_owners(each) for each in awake}) != 1:
            return False
        infos = [each.info("replication") for each in awake]
        return all(info.get("master_link_status", "up") == "up" for info in infos)

    def _anyone(self) -> RedisServer:
        for server in self.servers:
            if server.running:
                return server
        raise ServerError("no server of the cluster runs")

    def _at(self, port: object) -> RedisServer:
        return next(each for each in self.servers if each.port == port)

    def _log(self) -> str:
        return "\n\n".join(each.log for each in self.servers)


def _id(server: RedisServer) -> str:
    return str(server.command("CLUSTER", "MYID"))


def _nodes(server: RedisServer) -> list[list[str]]:
    """What the server knows of each: id, address, flags, its master, and so on to its slots.

    One that it has only heard of, and has not shaken hands with, is left out."""
    lines = str(server.command("CLUSTER", "NODES")).splitlines()
    return [line.split() for line in lines if "handshake" not in line]


def _owners(server: RedisServer) -> frozenset[tuple[str, ...]]:
    """Which slots each master has, and whose replica each other one is. A slot on its way,
    ``[93->-…]``, is known to two only."""
    return frozenset(
        (node[0], node[3], *(slots for slots in node[8:] if slots[0] != "["))
        for node in _nodes(server)
        if "fail" not in node[2].split(",")
    )
