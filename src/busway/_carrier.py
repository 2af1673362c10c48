"""What a relay does with a batch: send it there, and insist."""

from __future__ import annotations

from collections.abc import Sequence
from random import random
from typing import Any, ClassVar, Final

import anyio
import msgspec

from ._group import GroupRunner
from ._handling import PartlyFailed
from ._parts import Parts
from ._publisher import Sealed
from ._verdict import Backoff
from .errors import EncodeError, RetryLater, SendError, TooLarge, TopicError
from .message import Envelope, Message

__all__ = ["HOPS", "Carrier"]

HOPS: Final = "busway-hops"
"""The header that lists where an event has been."""

_WAITS = Backoff(first=0.05, factor=2.0, cap=5.0)

Errors = dict[int, BaseException]
"""Why events of a batch are not handled, by their place in it."""

Cargo = dict[int, Sealed]
"""What is to be sent, by its place in the batch, in order."""


class _NotNow(RetryLater):
    """It was not sent, and nobody is to blame: it is given back, or somebody else has it."""

    counts: ClassVar[bool] = False


class Carrier:
    """The sending half of one relay."""

    def __init__(self, source: Parts, target: Parts, group: str, places: tuple[str, str]) -> None:
        self._runtime = source.runtime
        self._sealer = target.sealer
        self._publisher = target.publisher
        self._group = group
        self._source, self._target = places
        self._ended = anyio.Event()
        self._sending: anyio.CancelScope | None = None
        self._refusals = 0
        self._echoed = False
        self.runner: GroupRunner | None = None
        """The relay's group."""

    def end(self) -> None:
        """Insist no more."""
        self._ended.set()

    def cut_off(self) -> None:
        """Send no more, whether what is on its way arrives or not."""
        if self._sending is not None:
            self._sending.cancel()

    @property
    def _gives_up(self) -> bool:
        """Whether what is not sent by now is for another time. The source's stop must not wait for
        a target that is away."""
        consumer = None if self.runner is None else self.runner.consumer
        return self._ended.is_set() or consumer is None or consumer.crew.stopping

    async def carry(self, envelopes: list[Envelope], messages: list[Message[Any]]) -> None:
        """Returns when the target has them all. Raises PartlyFailed with what it has not."""
        errors: Errors = {}
        cargo = self._addressed(envelopes, errors)
        while cargo:
            if await self._send(cargo, errors):
                continue
            await self._wait()
            gone = [place for place in cargo if messages[place].lost or self._gives_up]
            for place in gone:
                del cargo[place]
                errors[place] = _NotNow(0.0, "it was not sent")
        if errors:
            raise PartlyFailed(errors)

    def _addressed(self, envelopes: Sequence[Envelope], errors: Errors) -> Cargo:
        cargo: Cargo = {}
        for place, envelope in enumerate(envelopes):
            hops = envelope.headers.get(HOPS, "").split()
            if self._target in hops:
                self._drop(envelope)
                continue
            try:
                route = self._sealer.route_to(envelope.type)
            except TopicError as error:
                errors[place] = error
                continue
            headers = {**envelope.headers, HOPS: " ".join((*hops, self._source))}
            # A copy would make an id of its own, were there none yet.
            copy = msgspec.structs.replace(envelope, given_id=envelope.id, headers=headers)
            cargo[place] = copy, route, None
        return cargo

    def _drop(self, envelope: Envelope) -> None:
        self._runtime.drop(envelope, self._group, "it has been at the relay's target before")
        if not self._echoed:
            self._echoed = True
            self._runtime.log.info(
                "relay %r: an event of %s has been at the target before and is not sent there "
                "again. This is said once; all are counted as dropped",
                self._group,
                envelope.type,
            )

    async def _send(self, cargo: Cargo, errors: Errors) -> bool:
        """Take out what needs not be sent any more; whether the target took all it was given."""
        # A target that was away and is coming back may refuse one and take the next: until it has
        # taken again, it is given no event that stands behind another of its key.
        given = _first_of_each(cargo) if self._refusals else cargo
        refusal: Exception | None = None
        with anyio.CancelScope() as self._sending:
            if self._ended.is_set():
                return False
            try:
                await self._publisher.send_all(list(given.values()), waits=True)
            except Exception as error:
                refusal = error
        if self._sending.cancelled_caught:
            return False
        left = {} if refusal is None else _left(given, refusal, errors)
        for place in given.keys() - left.keys():
            del cargo[place]
        if refusal is not None and left:
            self._say_refused(refusal)
        else:
            self._say_taken()
        return not left

    def _say_refused(self, error: Exception) -> None:
        self._refusals += 1
        if self._refusals == 1:
            self._runtime.log.warning(
                "relay %r: the target does not take events now, the source keeps them: %s",
                self._group,
                error,
            )

    def _say_taken(self) -> None:
        if self._refusals:
            self._runtime.log.info("relay %r: the target takes events again", self._group)
        self._refusals = 0

    async def _wait(self) -> None:
        with anyio.move_on_after(_WAITS.wait(max(1, self._refusals), random())):
            await self._ended.wait()


def _lane(sealed: Sealed) -> tuple[str, str] | None:
    envelope, route, _ = sealed
    return None if envelope.key is None else (route.address.channel, envelope.key)


def _first_of_each(cargo: Cargo) -> Cargo:
    """Those without a key, and of each key the first."""
    first: Cargo = {}
    lanes: set[tuple[str, str]] = set()
    for place, sealed in cargo.items():
        lane = _lane(sealed)
        if lane is None or lane not in lanes:
            first[place] = sealed
        if lane is not None:
            lanes.add(lane)
    return first


def _left(given: Cargo, refusal: Exception, errors: Errors) -> Cargo:
    """What has to be sent again: what failed, and all behind it of its key, so that the last that
    arrives is the last that was sent."""
    failed = {e.id: error for e, error in refusal.failed} if isinstance(refusal, SendError) else {}
    # A middleware's or an adapter's own error does not say what was sent.
    told = bool(failed) and failed.keys() <= {envelope.id for envelope, _, _ in given.values()}
    left: Cargo = {}
    lanes: set[tuple[str, str]] = set()
    for place, sealed in given.items():
        lane, error = _lane(sealed), failed.get(sealed[0].id)
        if isinstance(error, EncodeError | TooLarge):
            errors[place] = error
        elif error is not None or not told or lane in lanes:
            left[place] = sealed
            if lane is not None:
                lanes.add(lane)
    return left
