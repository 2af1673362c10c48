"""What is in the server.properties of a broker."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["settings"]

# A test waits for each of them.
QUICK = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "broker.heartbeat.interval.ms": "200",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "log.segment.delete.delay.ms": "100",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.max.compaction.lag.ms": "1000",
}

# A test has few partitions and few connections, and no machine for itself.
SMALL = {
    "num.network.threads": "1",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4000000",
    "log.index.size.max.bytes": "262144",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.num.partitions": "1",
}

RULES = {
    # What is not there is made by whoever needs it, and not by whoever asks for it.
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
}


def settings(
    number: int,
    nodes: int,
    voters: Mapping[int, int],
    listeners: Mapping[str, tuple[int, int]],
) -> dict[str, str]:
    """Of the node with this number among so many. ``listeners`` are the ports that they listen on
    and that they tell, by their names."""
    names = [*listeners, "CONTROLLER"]
    inner = {name: ports[0] for name, ports in listeners.items()}
    return {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": _joined(voters, "@"),
        "listeners": _joined_names({**inner, "CONTROLLER": voters[number]}),
        "advertised.listeners": _joined_names({n: ports[1] for n, ports in listeners.items()}),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
        # Who does not answer for so long (milliseconds) is down. A lone one waits for itself.
        "broker.session.timeout.ms": "1000" if nodes == 1 else "2000",
        **_copies(nodes),
        **RULES,
        **QUICK,
        **SMALL,
    }


def _copies(nodes: int) -> dict[str, str]:
    """Everything is on every node, and a write is on one more than its leader."""
    enough = str(max(1, nodes - 1))
    return {
        "default.replication.factor": str(nodes),
        "min.insync.replicas": enough,
        "offsets.topic.replication.factor": str(nodes),
        "transaction.state.log.replication.factor": str(nodes),
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": str(nodes),
        "share.coordinator.state.topic.min.isr": enough,
    }


def _joined(ports: Mapping[int, int], between: str) -> str:
    return ",".join(f"{number}{between}127.0.0.1:{port}" for number, port in ports.items())


def _joined_names(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
