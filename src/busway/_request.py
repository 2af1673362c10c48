"""Asking and awaiting one reply: the first."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec

from ._context import current
from ._convert import cached_converter
from ._publisher import Publisher, may_wait
from ._replies import confirms, failed
from .errors import RequestFailed, RequestTimeout
from .message import Envelope, PublishOptions
from .transport import Delivery

__all__ = ["Requests"]


class _Waiting(msgspec.Struct, eq=False):
    answered: anyio.Event
    needs_answer: bool
    """That it was handled is not what was asked for."""
    askers: int = 0
    reply: Envelope | None = None


class Requests:
    """The requests of one bus that await their reply."""

    def __init__(self, publisher: Publisher, group: str) -> None:
        self._publisher = publisher
        self._waiting: dict[str, _Waiting] = {}
        self.group = group
        """The name of the group that replies are sent to; this process's own."""

    async def request(
        self,
        event: object,
        data: object,
        timeout: float,
        deadline: float,
        options: PublishOptions,
        needs_answer: bool,
    ) -> Envelope:
        """Publish and wait until ``deadline`` of the event loop, ``timeout`` after it was asked.

        Raises RequestTimeout, RequestFailed, and what publish raises.
        """
        publisher = self._publisher
        sealed, route = publisher.sealer.seal(event, data, options, current.get())
        envelope = msgspec.structs.replace(sealed, given_id=sealed.id, reply_to=self.group)
        due = publisher.due(options)
        # The same id twice, a webhook delivered twice say: the first reply is for both.
        waiting = self._waiting.setdefault(envelope.id, _Waiting(anyio.Event(), needs_answer))
        waiting.askers += 1
        try:
            with anyio.CancelScope(deadline=deadline):
                await publisher.pass_on(envelope, route, due, waits=may_wait())
                await waiting.answered.wait()
        finally:
            waiting.askers -= 1
            if not waiting.askers:
                del self._waiting[envelope.id]
        if waiting.reply is None:
            raise RequestTimeout(
                f"no reply to {envelope.type} within {timeout:g} s: no handler takes it, or it "
                "takes longer, or it returns nothing (a handler that got it by a wildcard and is "
                "annotated -> None never replies)"
            )
        if failed(waiting.reply):
            detail: dict[str, Any] = cached_converter(dict)(waiting.reply)
            raise RequestFailed(str(detail.get("reason", "")), str(detail.get("kind", "")))
        return waiting.reply

    async def take(self, envelope: Envelope, delivery: Delivery) -> None:
        """A reply came. The first wins; late and further ones are dropped and counted."""
        waiting = self._waiting.get(envelope.causation_id or "")
        if waiting is None or waiting.reply is not None:
            why = "nobody waits for this reply any more"
            self._publisher.runtime.drop(envelope, self.group, why)
            return
        if waiting.needs_answer and confirms(envelope):
            why = "it says only that a request was handled that asked for an answer"
            self._publisher.runtime.drop(envelope, self.group, why)
            return
        waiting.reply = envelope
        waiting.answered.set()
