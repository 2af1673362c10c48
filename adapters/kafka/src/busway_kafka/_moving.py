"""The end of a group, and its place moved, while nobody listens in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from aiokafka.protocol.admin import DeleteGroupsRequest, DeleteTopicsRequest
from aiokafka.protocol.commit import OffsetCommitRequest

from busway import TransportError
from busway.transport import Purpose, Start

from ._client import Client
from ._coordinating import ask_coordinator, described
from ._errors import Refused, checked
from ._groups import UNREAD
from ._names import Names
from ._offsets import committed, moment_of
from ._reading import Place, places_at

__all__ = ["Moving"]

_NO_SUCH_TOPIC: Final = 3
_NOT_CONTROLLER: Final = 41
_SOMEBODY_JOINED: Final = frozenset({22, 25, 27})
_NOT_EMPTY: Final = 68
_NO_SUCH_GROUP: Final = 69
_NOBODY: Final = (-1, "")
"""As who a commit is made that is no member's; only a group without members takes it."""
_PAUSE: Final = 0.05


class Moving:
    """The groups under one prefix."""

    def __init__(self, client: Client, names: Names) -> None:
        self._client = client
        self._names = names

    async def remove(self, name: str) -> bool:
        """Forget a group, what waits for it and its dead letters; False when there was none.

        Raises TransportError (not retryable) while a member listens.
        """
        await self._client.refresh()
        topics = self._own(name)
        await self._deserted(name)
        if not topics and not await committed(self._client, self._names.group(name)):
            return False
        # The group last: who is interrupted finds it there, and goes on.
        await self._delete_topics(topics)
        await self._delete_group(name)
        return True

    async def rewind(self, name: str, to: Start) -> None:
        """Hand out again what is kept from there on. What is tried again anyway stays as it is.

        Raises TransportError, not retryable while a member listens, or when there is no such group.
        """
        await self._client.refresh()
        kafka_id = self._names.group(name)
        far = await committed(self._client, kafka_id)
        if not far:
            raise TransportError(f"there is no group {name!r}", retryable=False)
        await self._deserted(name)
        begun = {topic for topic, _ in far if self._is_events(topic)}
        # What it finds when it has a member again was there before, too: that is moved with it.
        found = {t for t in self._client.leaders if self._names.channel_of(t) is not None}
        goals = await places_at(self._client, sorted(begun | found), moment_of(to))
        await self._commit(name, goals, begun)

    def _own(self, name: str) -> list[str]:
        """The topics of one group alone."""
        found: list[str] = []
        for topic in self._client.leaders:
            theirs = self._names.address_of(topic)
            if theirs is not None and theirs[0].group == name:
                found.append(topic)
        return found

    def _is_events(self, topic: str) -> bool:
        found = self._names.address_of(topic)
        there = bool(self._client.partitions(topic))
        return there and found is not None and found[0].purpose is Purpose.EVENT

    async def _deserted(self, name: str) -> None:
        said = await described(self._client, self._names.group(name))
        if said.members:
            raise _attended(name, said.members)

    async def _commit(self, name: str, goals: Mapping[Place, int], begun: Set[str]) -> None:
        kafka_id = self._names.group(name)
        by_topic: dict[str, list[tuple[int, int, str]]] = {}
        for (topic, number), offset in goals.items():
            # Without a note: nothing of what comes is a suspect, and nothing is done.
            text = "" if topic in begun else UNREAD
            by_topic.setdefault(topic, []).append((number, offset, text))
        topics = list(by_topic.items())
        request = OffsetCommitRequest(kafka_id, *_NOBODY, -1, topics)
        said = await ask_coordinator(self._client, kafka_id, request, _codes)
        for code in _codes(said):
            if code in _SOMEBODY_JOINED:
                raise _attended(name, 1)
            checked(code, f"moving group {name!r}")

    async def _delete_group(self, name: str) -> None:
        kafka_id = self._names.group(name)
        said = await ask_coordinator(
            self._client, kafka_id, DeleteGroupsRequest([kafka_id]), lambda s: (s.results[0][1],)
        )
        ((_, code),) = said.results
        if code == _NOT_EMPTY:
            raise _attended(name, 1)
        if code != _NO_SUCH_GROUP:
            checked(code, f"removing group {name!r}")

    async def _delete_topics(self, topics: Sequence[str]) -> None:
        until = time.monotonic() + self._client.timeout
        left = list(topics)
        while left:
            milliseconds = int(self._client.timeout * 1000)
            request = DeleteTopicsRequest(left, milliseconds)
            said = await self._client.ask(self._client.controller, request)
            codes = dict(said.topic_error_codes)
            for topic, code in codes.items():
                if code not in (0, _NO_SUCH_TOPIC, _NOT_CONTROLLER) or time.monotonic() > until:
                    raise Refused(code, f"removing topic {topic!r}")
            left = [topic for topic, code in codes.items() if code == _NOT_CONTROLLER]
            await self._client.refresh()
        # A broker that has not heard of it yet would take what is sent to a topic that is gone.
        while any(self._client.partitions(topic) for topic in topics):
            if time.monotonic() > until:
                raise TransportError(f"{', '.join(topics)}: not removed in time")
            await asyncio.sleep(_PAUSE)
            await self._client.refresh()


def _codes(said: Any) -> list[int]:
    """The errors in the answer to a commit."""
    return [code for _, partitions in said.topics for _, code in partitions]


def _attended(name: str, members: int) -> TransportError:
    several = "members that listen" if members > 1 else "a member that listens"
    return TransportError(f"group {name!r} has {several}", retryable=False)
