"""What a server must be like before anything is trusted to it, asked when the transport is entered.

A server that may throw keys away when it is full throws away a stream with its groups, unhandled,
and tells nobody: such a server is refused. What makes a loss possible only when the server itself
is lost is a warning.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from busway import TransportError

from ._errors import Refused
from ._options import Options
from ._topology import Topology

__all__ = ["check", "facts_of"]

_log = logging.getLogger("busway.redis")

_OLDEST: Final = (6, 2)
_MAY_NOT: Final = frozenset({"ERR", "NOPERM"})


async def check(topology: Topology, options: Options) -> None:
    """Look at every master. Raises TransportError, not retryable, for a server that loses events,
    and retryable for one that is a replica now."""
    told, saves = await asyncio.gather(
        _asked(topology, "INFO"), _asked(topology, "CONFIG", "GET", "save")
    )
    if told is None:
        _log.warning(
            "%s: the server does not say how it is set up (INFO is not permitted): nobody has "
            "checked that its maxmemory-policy is noeviction, and that it keeps data on disk",
            options.where,
        )
        return
    masters = [facts_of(each) for each in told]
    snapshots = None if saves is None else [_saves(each) for each in saves]
    for facts in masters:
        _refuse(facts, options)
    _warn_of_no_disk(masters, snapshots, options)
    _warn_of_replicas(masters, options)


def facts_of(info: bytes) -> Mapping[str, str]:
    """The lines of INFO."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def _asked(topology: Topology, *command: str) -> list[Any] | None:
    """None: this user may not ask, or the server has no such command."""
    try:
        return await topology.everywhere(*command)
    except Refused as error:
        if error.code in _MAY_NOT:
            return None
        raise


def _refuse(facts: Mapping[str, str], options: Options) -> None:
    where, version = options.where, facts.get("redis_version", "")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers and numbers < _OLDEST:
        raise TransportError(
            f"{where}: it is Redis {version}, and 6.2 is the oldest that is supported",
            retryable=False,
        )
    if facts.get("role") == "slave":
        raise TransportError(
            f"{where}: it is a replica of {facts.get('master_host')}:{facts.get('master_port')}, "
            "and the bus has to write: name its master, or its Sentinels"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    why = (
        f"{where}: its maxmemory-policy is {policy}: when it is full it throws away streams with "
        "their groups, handled or not, and tells nobody"
    )
    if not options.allow_eviction:
        raise TransportError(
            f"{why}. Use CONFIG SET maxmemory-policy noeviction, or a server of its own for the "
            "bus; allow_eviction=1 insists",
            retryable=False,
        )
    _log.warning("%s", why)


def _warn_of_no_disk(
    masters: Sequence[Mapping[str, str]], snapshots: Sequence[bool] | None, options: Options
) -> None:
    without_log = [facts.get("aof_enabled") == "0" for facts in masters]
    if snapshots is None:
        if any(without_log):
            _log.warning(
                "%s: the server has no append-only file, and does not say whether it saves "
                "snapshots (CONFIG is not permitted): without either, all is gone when it stops",
                options.where,
            )
    elif any(no and not saves for no, saves in zip(without_log, snapshots, strict=False)):
        _log.warning(
            "%s: the server keeps nothing on disk (no appendonly, no save): events, groups and "
            "dead letters are gone when it stops",
            options.where,
        )


def _warn_of_replicas(masters: Sequence[Mapping[str, str]], options: Options) -> None:
    replicas = [int(facts.get("connected_slaves", 0)) for facts in masters]
    if any(replicas) and not options.wait:
        _log.warning(
            "%s: it has replicas, which get each event after it was confirmed: a failover can lose "
            "what was not copied yet. wait=1 has a publish wait for one of them",
            options.where,
        )
    if replicas and min(replicas) < options.wait:
        _log.warning(
            "%s: wait=%d, and it has %d replicas: no publish can be confirmed",
            options.where,
            options.wait,
            min(replicas),
        )


def _saves(answer: Any) -> bool:
    """Whether CONFIG GET save names a schedule."""
    return len(answer) < 2 or answer[1] != b""
