"""Being a member of a group: joining, heartbeats, making way, leaving."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ProtocolMetadata,
    SyncGroupRequest,
)

from busway import TransportError

from ._assigning import Claim, Unit
from ._catalogue import Catalogue
from ._client import Client
from ._errors import Refused
from ._leading import claims_in, dealt_out, units_in
from ._options import Options

__all__ = ["Holder", "Membership"]

_log = logging.getLogger("busway.kafka")

PROTOCOL = "busway"
_ELSEWHERE = frozenset({14, 15, 16})
# Others join, or the answer to joining got lost: it is a member, and has to join again.
_JOINING = frozenset({22, 27})
_NAMED = 79
_NOT_A_MEMBER = frozenset({25, 82})
_AT_ONCE = 2
"""Tries to join that need no wait between: the broker gives a name first, or others came, too."""
_FIRST_BEAT = 0.05
"""Seconds, twice as long each time. One round seldom comes alone: who lets go of something joins
again, and nobody has it until all others have heard of that."""
_LONGEST_REST = 10.0
"""Leases for which it makes way for another of its name."""
_IN_A_ROW = 4
"""Times the last rest within which being put out again counts as the next of the same."""
_BACKOFF = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Holder(Protocol):
    """What is done with what a member is given."""

    def claim(self) -> Claim: ...

    def heard(self, generation: int) -> None: ...

    async def given(self, units: list[Unit], generation: int, alive: float) -> None: ...

    def alive(self, since: float) -> None: ...

    def expelled(self) -> None: ...


class Membership:
    """Of one member, for as long as its feed is open."""

    def __init__(
        self, client: Client, options: Options, catalogue: Catalogue, lane: str, holder: Holder
    ) -> None:
        self.generation: int = -1
        self.member_id: str = ""
        self.joined = asyncio.Event()
        """It has been given something for the first time, were it nothing."""
        self.rebalances = 0
        self.problem: TransportError | None = None
        """Why it is not a member now."""
        self._client = client
        self._options = options
        # None is what the protocol has; aiokafka's types have not. A group that does not last ends
        # with its members, and nobody comes back to it.
        self._instance: Any = options.instance if catalogue.group.durable else None
        self._catalogue = catalogue
        self._group = catalogue.kafka_id
        self._lane = lane
        self._holder = holder
        self._again = asyncio.Event()
        self._asking: asyncio.Future[Any] | None = None
        """The last request to join; it outlives ``run``."""
        self._beat = min(1.0, options.lease / 20)
        self._answered = 0.0
        self._rested = 0.0
        """Seconds for which it made way the last time for somebody of its name."""
        self._joined_at = 0.0
        """When it came in after that; 0: not yet."""
        self._rest = 0.0
        """Seconds before it joins again."""

    @property
    def alive_until(self) -> float:
        """The moment (``time.monotonic``) until which nobody else has what it has."""
        return self._answered + self._options.lease if self.generation >= 0 else 0.0

    @property
    def who(self) -> tuple[int, str]:
        return self.generation, self.member_id

    def join_again(self) -> None:
        """What it claims has changed."""
        self._again.set()

    def expelled(self) -> None:
        """The broker does not know it any more: somebody else has what it had."""
        if self._instance is not None and time.monotonic() < self.alive_until:
            self._make_way()
        elif self.generation >= 0:
            _log.warning("group %r: this member was taken for dead, and joins again", self._group)
        self.generation, self.member_id = -1, ""
        self._holder.expelled()
        self._again.set()

    def _make_way(self) -> None:
        """The broker had just heard of it: somebody else has come under its name. Each would put
        the other out for ever, and nothing that takes long would ever be finished."""
        now, lease = time.monotonic(), self._options.lease
        # Who was left alone for long has met somebody who came by, and not one that stays.
        in_a_row = now - self._joined_at < _IN_A_ROW * self._rested
        self._rest = min(2 * self._rested, _LONGEST_REST * lease) if in_a_row else lease
        self._rested, self._joined_at = self._rest, 0.0
        _log.error(
            "group %r: another member has come as instance=%s, and this one makes way for %g s. "
            "Give each process a name of its own",
            self._group, self._instance, self._rest,
        )  # fmt: skip

    async def run(self) -> None:
        """Until cancelled."""
        tries = 0
        while True:
            try:
                await self._join()
                self.problem = None
                tries = 0
                await self._stay()
            except TransportError as error:
                if self.problem is None:
                    _log.warning("group %r: not joined now, trying on: %s", self._group, error)
                self.problem = error
                self._client.moved(self._group)
                await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF) - 1)])
                tries += 1

    # --- joining

    async def _join(self) -> None:
        """Raises TransportError."""
        tries = 0
        while True:
            if rest := self._rest:
                self._rest = 0.0
                await asyncio.sleep(rest)
            self._again.clear()
            node = await self._client.coordinator(self._group)
            came = self._instance is not None and not self.member_id
            said = await self._ask_to_join(node)
            if said is not None and came and not said[1]:
                # Kafka holds no round for a name that comes back, and hands on what was dealt out
                # by what an earlier process claimed. What is claimed anew is dealt out anew.
                self._holder.heard(said[0])
                continue
            if said is not None and await self._share(node, said):
                return
            tries += 1
            if tries > _AT_ONCE:
                await asyncio.sleep(_BACKOFF[min(tries - _AT_ONCE, len(_BACKOFF)) - 1])

    async def _ask_to_join(self, node: int) -> tuple[int, bool, Mapping[str, Claim]] | None:
        options = self._options
        claim = self._holder.claim()
        about = ProtocolMetadata(0, self._catalogue.topics(), claim.data()).encode()
        lease = int(options.lease * 1000)
        request = JoinGroupRequest(
            self._group, lease, lease, self.member_id, self._instance, "consumer",
            [(PROTOCOL, about)],
        )  # fmt: skip
        patience = options.lease + self._client.timeout
        # Whoever leaves meanwhile has to know by which name the broker knows it.
        self._asking = asyncio.ensure_future(
            self._client.ask(node, request, lane=self._lane, timeout=patience)
        )
        said = await asyncio.shield(self._asking)
        if said.error_code == _NAMED:
            self.member_id = said.member_id
            return None
        if said.error_code in _NOT_A_MEMBER:
            self.expelled()
            return None
        self._check(said.error_code, "joining")
        self.member_id, self.generation = said.member_id, said.generation_id
        claims = {each[0]: claims_in(each[-1]) for each in said.members}
        return self.generation, said.leader_id == said.member_id, claims

    def _check(self, code: int, what: str) -> None:
        if code in _ELSEWHERE:
            self._client.moved(self._group)
        if code:
            raise Refused(code, f"{what} group {self._group!r}")

    async def _share(self, node: int, said: tuple[int, bool, Mapping[str, Claim]]) -> bool:
        """Deal out when this member leads, and take what it is given. False: join again."""
        generation, leads, claims = said
        plan: list[tuple[str, bytes]] = []
        if leads:
            plan = await dealt_out(self._client, self._catalogue, claims)
        began = time.monotonic()
        request = SyncGroupRequest(self._group, generation, self.member_id, self._instance, plan)
        patience = self._options.lease + self._client.timeout
        answer = await self._client.ask(node, request, lane=self._lane, timeout=patience)
        if answer.error_code in _JOINING:
            return False
        if answer.error_code in _NOT_A_MEMBER:
            self.expelled()
            return False
        self._check(answer.error_code, "joining")
        if self._joined_at <= 0.0:
            self._joined_at = began
        self._answered = began
        self.rebalances += 1
        units = units_in(answer.member_assignment)
        await self._holder.given(units, generation, began)
        self.joined.set()
        return True

    # --- staying

    async def _stay(self) -> None:
        """Send heartbeats until it has to join again. Raises TransportError when it cannot tell
        whether it is a member."""
        beat = _FIRST_BEAT
        while True:
            try:
                async with asyncio.timeout(min(beat, self._beat)):
                    await self._again.wait()
                return
            except TimeoutError:
                pass
            beat *= 2
            if not await self._heartbeat():
                return

    async def _heartbeat(self) -> bool:
        began = time.monotonic()
        node = await self._client.coordinator(self._group)
        request = HeartbeatRequest(self._group, self.generation, self.member_id)
        said = await self._client.ask(node, request, lane=self._lane)
        if said.error_code == 0:
            self._answered = began
            self._holder.alive(began)
            return True
        if said.error_code in _JOINING:
            return False
        if said.error_code in _NOT_A_MEMBER:
            self.expelled()
            return False
        self._check(said.error_code, "staying in")
        return True

    async def leave(self) -> None:
        """Tell the broker, so that others need not wait; ``run`` has ended before. A member with a
        name of its own is waited for. Raises nothing but what cancels it.

        Who only asked to join is a member as well, for whom all the others would wait for as long
        as a lease.
        """
        try:
            if self._instance is None and (member := await self._name()):
                node = await self._client.coordinator(self._group)
                # Not where it waits for an answer: what follows there waits, too.
                await self._client.ask(node, LeaveGroupRequest(self._group, member))
        except TransportError as error:
            _log.info("group %r: left without a goodbye: %s", self._group, error)
        finally:
            self.generation, self.member_id = -1, ""
            self.die()

    def die(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _name(self) -> str:
        """By which the broker knows it. Raises TransportError."""
        if not self.member_id and self._asking is not None:
            self.member_id = (await asyncio.shield(self._asking)).member_id
        return self.member_id
