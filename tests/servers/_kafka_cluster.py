"""Three Kafkas that are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

from ._errors import ServerError
from ._kafka import KafkaServer, random_id
from ._kafka_protocol import View
from ._ports import free_ports
from ._until import until

__all__ = ["KafkaCluster"]

NODES = 3


class KafkaCluster:
    """Three brokers, each of them a controller, too. Everything has three copies, and what is
    written is on two of them before it counts.

    ``config`` counts before our settings. ``ways`` is how many listeners each broker has for
    clients that come through a proxy.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, str] | None = None,
        ways: int = 0,
        patience: float = 120.0,
    ) -> None:
        self.patience = patience
        cluster = random_id()
        self.nodes: list[KafkaServer] = [
            _Member(number, cluster, config=config, ways=ways, patience=patience)
            for number in range(1, NODES + 1)
        ]

    @property
    def servers(self) -> str:
        return ",".join(each.servers for each in self.nodes)

    @property
    def url(self) -> str:
        return f"kafka://{self.servers}/"

    def outside(self, way: int) -> str:
        """What a client's URL says that comes through proxies."""
        return ",".join(each.outside(way) for each in self.nodes)

    def start(self) -> Self:
        """Start those that do not run."""
        first = not self.nodes[0].port
        for _ in range(3):
            if first:
                self._settle()
            try:
                self._start()
            except ServerError as error:
                self.kill()
                if not first or "somebody else listens" not in str(error):
                    raise
            else:
                break
        if first:
            # The first who asks waits until the topic for that is made: no test shall be it.
            self._anyone().coordinator("nobody")
        self.wait_until_whole()
        return self

    def kill(self) -> None:
        """kill -9 of all that run."""
        for each in self._awake():
            each.kill()

    def pause(self) -> None:
        """SIGSTOP of all that run."""
        for each in self._awake():
            each.pause()

    def resume(self) -> None:
        """SIGCONT, and wait until they have found each other again."""
        for each in self._awake():
            each.resume()
        self.wait_until_whole()

    def node(self, number: int) -> KafkaServer:
        return self.nodes[number - 1]

    def leader_of(self, topic: str, partition: int = 0) -> KafkaServer:
        """The node that leads this partition now; it is waited for when none does."""
        found: list[int] = []

        def known() -> bool:
            found[:] = [self.look().partitions[topic, partition].leader]
            return found[0] > 0

        until(known, f"a leader of {topic!r}", self.patience, log=self._log)
        return self.node(found[0])

    def coordinator_of(self, group: str) -> KafkaServer:
        """The node that looks after the group now."""
        return self.node(self._anyone().coordinator(group))

    def look(self) -> View:
        """What one of them knows."""
        return self._anyone().look()

    def roll(self, *, hard: bool = False, pause: Callable[[], object] = lambda: None) -> None:
        """Restart each in turn, by kill -9 when ``hard``, as an operator does: the next one when
        all are in step again, and after ``pause``."""
        for each in self.nodes:
            each.restart(hard=hard)
            self.wait_until_whole()
            pause()

    def wait_until_whole(self) -> None:
        """Wait until each node that runs knows all that run and no other, and each partition has a
        leader and is in step on all of these."""
        until(self._whole, "a whole cluster", self.patience, log=self._log)

    def close(self) -> None:
        with ExitStack() as stack:
            for each in self.nodes:
                stack.callback(each.close)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self) -> None:
        ports = free_ports()
        voters = {each.number: next(ports) for each in self.nodes}
        for each in self.nodes:
            each.settle(ports, voters)

    def _start(self) -> None:
        # Nobody answers before a second one is there.
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(KafkaServer.start, set(self.nodes) - set(self._awake())))

    def _whole(self) -> bool:
        awake = {each.number for each in self._awake()}
        for number in awake:
            seen = self.node(number).look()
            if set(seen.brokers) != awake:
                return False
            for each in seen.partitions.values():
                if each.leader not in awake or not each.replicas & awake <= each.in_step:
                    return False
        return True

    def _awake(self) -> list[KafkaServer]:
        return [each for each in self.nodes if each.running]

    def _anyone(self) -> KafkaServer:
        for each in self._awake():
            return each
        raise ServerError("no node of the cluster runs")

    def _log(self) -> str:
        return "\n\n".join(each.log for each in self.nodes)


class _Member(KafkaServer):
    nodes = NODES

    def __init__(self, number: int, cluster: str, **options: Any) -> None:
        super().__init__(**options)
        self.number = number
        self.cluster = cluster
