"""Finding the master by its Sentinels, each time a connection is made."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.exceptions import NoPermissionError, RedisError

from ._dial import Bare, Dial, Dialer, asked
from ._errors import NotSent, unreachable
from ._options import Node, Options

__all__ = ["master_dial"]

_MASTER: Final = b"master"


def master_dial(dialer: Dialer, options: Options) -> Dial:
    """Connects to whoever is the master then."""
    finder = _Finder(dialer, options)
    return finder.connect


class _Finder:
    def __init__(self, dialer: Dialer, options: Options) -> None:
        self._dialer = dialer
        self._service = options.service
        self._where = options.where
        self._sentinels = list(options.nodes)

    async def connect(self) -> Bare:
        node = await self._master()
        connection = await self._dialer.to(node)()
        try:
            role = await self._role(connection)
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if not isinstance(error, RedisError | OSError):
                raise
            failure = unreachable(str(node), error)
            raise failure from failure.__cause__
        if role == _MASTER:
            return connection
        await connection.disconnect(nowait=True)
        raise NotSent(
            f"{self._where}: the Sentinels name {node}, which is a {role.decode()}: a failover is "
            "going on"
        )

    async def _role(self, connection: Bare) -> bytes:
        """The Sentinels learn of a failover later than the servers do."""
        try:
            answer = await asked(connection, "ROLE", timeout=self._dialer.timeout)
        except NoPermissionError:
            return _MASTER  # the Sentinels' word has to do
        return bytes(answer[0])

    async def _master(self) -> Node:
        """The first answer of a Sentinel that knows one. All are asked at once, because one that
        hangs must not cost the time of the others."""
        asking = {asyncio.create_task(self._ask(each)): each for each in self._sentinels}
        failures: list[str] = []
        hopeless = True
        try:
            for done in asyncio.as_completed(asking):
                try:
                    return await done
                except NotSent as error:
                    failures.append(str(error))
                    hopeless = hopeless and not error.retryable
        finally:
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
            for task in asking:
                if not task.cancelled():
                    task.exception()
        said = "; ".join(failures)
        raise NotSent(f"{self._where}: no master is known: {said}", retryable=not hopeless)

    async def _ask(self, sentinel: Node) -> Node:
        connection = await self._dialer.to_sentinel(sentinel)()
        try:
            question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            answer = await asked(connection, *question, timeout=self._dialer.timeout)
        except (RedisError, OSError) as error:
            failure = unreachable(f"Sentinel {sentinel}", error)
            raise failure from failure.__cause__
        finally:
            await connection.disconnect(nowait=True)
        if answer is None:
            raise NotSent(
                f"Sentinel {sentinel}: it knows no service {self._service!r}", retryable=False
            )
        host, port = answer
        return Node(host.decode(), int(port))
