"""A client that was configured in code, taken apart into options.

Its connections are not used, and neither are its retries, its pool and its decoding: only where it
connects to, and as whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from busway import OptionError
from busway.transport.options import secret

from ._options import Node, Options, converted, default_timeout
from ._url import CLIENT, options_from_url

__all__ = ["Given", "options_of"]

Given = str | Options | Redis | RedisCluster
"""What says where Redis is: a URL, options, or a client of redis.asyncio."""

# Values of the client that a URL cannot hold.
_OBJECTS: Final = (
    "credential_provider",
    "driver_info",
    "socket_keepalive_options",
    "socket_type",
)
_KINDS: Final = (
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)


def options_of(given: Given, *, pubsub: bool = False, **own: Any) -> Options:
    """The options of a URL or a client. The adapter's own may be given beside it.

    ``pubsub`` says what a client is taken for; a URL says it itself. Raises OptionError.
    """
    if isinstance(given, str):
        return options_from_url(given, **own)
    if isinstance(given, Options):
        return _changed(given, converted(own, pubsub=given.pubsub))
    return Options(**_fields(given), **converted(own, pubsub=pubsub), pubsub=pubsub)


def _changed(options: Options, own: dict[str, Any]) -> Options:
    if options.timeout == default_timeout(options.lease):
        own.setdefault("timeout", 0.0)
    return msgspec.structs.replace(options, **own)


def _fields(client: object) -> dict[str, Any]:
    if isinstance(client, RedisCluster):
        return _of_cluster(client)
    if isinstance(client, Redis):
        return _of_pool(client.connection_pool)
    if isinstance(client, Sentinel):
        raise OptionError("a Sentinel has many services: give sentinel.master_for(service)")
    raise OptionError(
        f"{type(client).__name__}: it takes a URL, Options, or a client of redis.asyncio"
    )


def _of_pool(pool: ConnectionPool) -> dict[str, Any]:
    kwargs: Mapping[str, Any] = pool.connection_kwargs
    kind = pool.connection_class
    if kind not in _KINDS:
        raise OptionError(
            f"{kind.__name__}: connections of a class of your own cannot be taken over; use a "
            "credential_provider, or a URL"
        )
    fields = _of_kwargs(kwargs)
    fields["database"] = int(kwargs.get("db") or 0)
    fields["tls"] = issubclass(kind, SSLConnection)
    if isinstance(pool, SentinelConnectionPool):
        return fields | _of_sentinels(pool)
    if kind is UnixDomainSocketConnection:
        return fields | {"path": str(kwargs["path"])}
    return fields | {"nodes": (_node(kwargs),)}


def _of_sentinels(pool: Any) -> dict[str, Any]:
    if not pool.is_master:
        raise OptionError("replicas take no events: give sentinel.master_for(service)")
    pools = [each.connection_pool for each in pool.sentinel_manager.sentinels]
    first: Mapping[str, Any] = pools[0].connection_kwargs
    password = first.get("password")
    return {
        "topology": "sentinel",
        "service": pool.service_name,
        "nodes": tuple(_node(each.connection_kwargs) for each in pools),
        "sentinel_user": first.get("username"),
        "sentinel_password": None if password is None else secret("password", password),
        "sentinel_tls": issubclass(pools[0].connection_class, SSLConnection),
    }


def _of_cluster(client: RedisCluster) -> dict[str, Any]:
    kwargs: Mapping[str, Any] = client.connection_kwargs
    nodes = client.nodes_manager
    if nodes.address_remap is not None:
        raise OptionError(
            "address_remap= cannot be taken over: nodes must announce what is reached"
        )
    kind = kwargs.get("connection_class", Connection)
    return {
        **_of_kwargs(kwargs),
        "topology": "cluster",
        "nodes": tuple(Node(each.host, int(each.port)) for each in nodes.startup_nodes.values()),
        "tls": issubclass(kind, SSLConnection),
    }


def _of_kwargs(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What every connection is made with. What the adapter sets itself is left out."""
    client = {
        name: secret(name, value) if name == "ssl_password" else value
        for name, value in kwargs.items()
        if name in (*CLIENT, *_OBJECTS) and value is not None
    }
    fields: dict[str, Any] = {"client": client, "user": kwargs.get("username")}
    if kwargs.get("password") is not None:
        fields["password"] = secret("password", kwargs["password"])
    return fields


def _node(kwargs: Mapping[str, Any]) -> Node:
    return Node(str(kwargs.get("host", "localhost")), int(kwargs.get("port", 6379)))
