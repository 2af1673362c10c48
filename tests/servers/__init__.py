"""Real servers for the tests, the examples, the benchmarks and the fault runs.

    with RedisServer() as server:
        print(server.url)

Everything here blocks, and waits no longer than its ``patience``; from async code call it in a
thread (``anyio.to_thread.run_sync(server.restart)``). A server ends with the process that started
it, however that process ends, and its temporary folder is removed with it. Where no server can be
started, starting raises NoServer, which says why.
"""

from __future__ import annotations

from ._clock import MovedRedis
from ._cluster import RedisCluster
from ._connection import Connection, ErrorReply, Reply
from ._errors import NoServer, ServerError
from ._kafka import KafkaServer
from ._kafka_cluster import KafkaCluster
from ._kafka_guarded import GuardedKafka
from ._node import Node
from ._oldest import OldestRedis
from ._program import version
from ._redis import Fsync, RedisServer
from ._sentinel import RedisSentinel
from ._tls import TlsServer

__all__ = [
    "Connection",
    "ErrorReply",
    "Fsync",
    "GuardedKafka",
    "KafkaCluster",
    "KafkaServer",
    "MovedRedis",
    "NoServer",
    "Node",
    "OldestRedis",
    "RedisCluster",
    "RedisSentinel",
    "RedisServer",
    "Reply",
    "ServerError",
    "TlsServer",
    "version",
]
