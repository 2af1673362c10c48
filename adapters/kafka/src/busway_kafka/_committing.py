"""Telling the broker how far a group is: one request at a time, with all that came meanwhile in the
next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka.protocol.commit import OffsetCommitRequest

from busway import TransportError

from ._client import Client
from ._errors import Refused
from ._tenure import Tenure

__all__ = ["Committer"]

_log = logging.getLogger("busway.kafka")

_LANE = "commit"
_ELSEWHERE = frozenset({14, 15, 16})
# The group is dealt out anew, or was and this member is about to hear it: what it had it still
# has, because it claimed it.
_JOINING = frozenset({22, 27})
_NOT_A_MEMBER = frozenset({25, 82})
_NO_SUCH_TOPIC = 3
_NOTE_TOO_LARGE = 12
_BACKOFF = 0.03
_TOGETHER = 0.02
_ONE_TRY = 0.6
"""Of the time that a commit may take."""


class Committer:
    """Of one member. ``who``: its generation and member id now; ``expelled`` is called when the
    broker says that it is a member no more."""

    def __init__(
        self,
        client: Client,
        group: str,
        who: Callable[[], tuple[int, str]],
        expelled: Callable[[], None],
    ) -> None:
        self.last = time.monotonic()
        """When the broker last took one (``time.monotonic``)."""
        self.refused = 0
        self._client = client
        self._group = group
        self._who = who
        self._expelled = expelled
        self._wanted: dict[Tenure, None] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def commit(self, tenures: Iterable[Tenure]) -> None:
        """Return when the broker has what is so of these tenures now. What ended is passed over.

        Raises TransportError; it is tried again all the same.
        """
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(_looked_at)
        self._waiting.append(done)
        self._hurry.set()
        self.begin(tenures)
        await asyncio.shield(done)

    def begin(self, tenures: Iterable[Tenure]) -> None:
        """The same, for who does not wait: soon, together with what comes meanwhile, and again
        until the broker has it."""
        self._wanted.update(dict.fromkeys(tenures))
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    @property
    def behind(self) -> float:
        """For how many seconds the broker has not been told of what it is to be told."""
        return time.monotonic() - self.last if self._task is not None else 0.0

    async def close(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tell(TransportError("the group was left"))

    async def _run(self) -> None:
        pause = 0.0
        try:
            self.last = max(self.last, time.monotonic() - _TOGETHER)
            while self._waiting or self._wanted:
                await self._gather(max(pause, self.last + _TOGETHER - time.monotonic()))
                self._hurry.clear()
                wanted, self._wanted = self._wanted, {}
                waiting, self._waiting = self._waiting, []
                # Whatever ends this, whoever waits is told.
                problem: TransportError | None = TransportError("the group was left")
                try:
                    await self._insist(list(wanted))
                    problem, pause = None, 0.0
                except Exception as error:
                    problem = self._problem(error)
                    pause = min(1.0, pause * 2 + _BACKOFF)
                    self._wanted.update(dict.fromkeys(t for t in wanted if not t.ended))
                finally:
                    self._tell(problem, waiting)
        finally:
            self._task = None

    def _problem(self, error: Exception) -> TransportError:
        if isinstance(error, TransportError):
            return error
        _log.error("group %r: a commit failed, by a mistake of ours", self._group, exc_info=error)
        return TransportError(f"a commit of group {self._group!r} failed: {error!r}")

    async def _gather(self, pause: float) -> None:
        """What is said in this turn of the loop goes together; what nobody waits for, within a
        longer time."""
        await asyncio.sleep(0)
        if pause > 0 and not self._waiting:
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    def _tell(
        self, problem: TransportError | None, waiting: list[asyncio.Future[None]] | None = None
    ) -> None:
        if waiting is None:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            if each.done():
                continue
            if problem is None:
                each.set_result(None)
            else:
                each.set_exception(problem)

    async def _insist(self, tenures: list[Tenure]) -> None:
        until = time.monotonic() + self._client.timeout
        notes = True
        while living := [each for each in tenures if not each.ended]:
            left = until - time.monotonic()
            if left <= 0:
                raise TransportError(f"Kafka took no commit of group {self._group!r} in time")
            code = await self._try(living, left, notes=notes)
            if code == 0:
                return
            self.refused += 1
            notes = notes and code != _NOTE_TOO_LARGE
            await asyncio.sleep(min(_BACKOFF, left))

    async def _try(self, tenures: list[Tenure], left: float, *, notes: bool) -> int:
        """0, or why it is to be tried again."""
        generation, member = self._who()
        sent: dict[tuple[str, int], tuple[Tenure, int, int]] = {}
        topics: dict[str, list[tuple[int, int, str]]] = {}
        for tenure in tenures:
            handed = _handed(tenure)
            position, text = tenure.note(handed=handed)
            tenure.dirty = False
            sent[tenure.topic, tenure.number] = tenure, position, handed
            topics.setdefault(tenure.topic, []).append(
                (tenure.number, position, text if notes else "")
            )
        try:
            said = await self._ask(generation, member, list(topics.items()), left)
        except TransportError as error:
            self._again(sent)
            if not error.retryable:
                raise
            return -1
        worst = self._heard(said, sent)
        if not worst:
            self.last = time.monotonic()
            return 0
        self._judge(worst, member)
        return worst

    def _heard(self, said: Any, sent: dict[tuple[str, int], tuple[Tenure, int, int]]) -> int:
        """0, or the last of what the broker did not like."""
        worst = 0
        for topic, partitions in said.topics:
            for number, code in partitions:
                tenure, position, handed = sent[topic, number]
                if code in (0, _NO_SUCH_TOPIC):
                    tenure.committed = max(tenure.committed, position)
                    tenure.reserved = max(tenure.reserved, handed)
                else:
                    tenure.dirty = True
                    worst = code
        return worst

    def _again(self, sent: dict[tuple[str, int], tuple[Tenure, int, int]]) -> None:
        self._client.moved(self._group)
        for tenure, _, _ in sent.values():
            tenure.dirty = True

    async def _ask(self, generation: int, member: str, topics: list[Any], left: float) -> Any:
        """What is not answered in time is asked on another connection: so the time is the client's
        to measure, and there has to be some for the second try."""
        until = time.monotonic() + left
        request = OffsetCommitRequest(self._group, generation, member, -1, topics)
        try:
            async with asyncio.timeout(left):
                node = await self._client.coordinator(self._group)
        except TimeoutError:
            raise TransportError("Kafka did not answer in time") from None
        left = min(until - time.monotonic(), self._client.timeout * _ONE_TRY)
        return await self._client.ask(node, request, lane=_LANE, timeout=max(_BACKOFF, left))

    def _judge(self, code: int, member: str) -> None:
        """Prepare the next try, or raise when there can be none."""
        if code in _ELSEWHERE:
            self._client.moved(self._group)
        elif code in _NOT_A_MEMBER:
            if member == self._who()[1]:
                self._expelled()
        elif code not in _JOINING and code != _NOTE_TOO_LARGE:
            error = Refused(code, f"committing for group {self._group!r}")
            if not error.retryable:
                raise error


def _handed(tenure: Tenure) -> int:
    """Up to where something may be handed out. What is let go of with nothing running: nowhere."""
    if tenure.leaving:
        return tenure.reserved if tenure.loan.running > 0 else 0
    return max(tenure.asked, tenure.reserved)


def _looked_at(future: asyncio.Future[None]) -> None:
    """Who does not wait for it will find it dirty, and need not be told."""
    if not future.cancelled():
        future.exception()
