"""What the bus calls for an event, or for a batch: the pipeline, and what its end means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream.exceptions import StopApplication, StopConsume
from faststream.message import AckStatus

from busway import Envelope, Message

from ._outcome import after_error, after_return, supported
from ._reading import batch_item

if TYPE_CHECKING:
    from ._subscriber import BusSubscriber

__all__ = ["Delivering"]


class Delivering:
    """The bus's handler in place of those of one subscriber."""

    def __init__(self, subscriber: BusSubscriber, policy: AckPolicy) -> None:
        self._subscriber = subscriber
        self._policy = supported(policy)
        self._said: dict[int, AckStatus | None] = {}
        """Of what is being handled: what was said by ``ack``, ``nack`` or ``reject``."""

    def settle(self, raw: Any, status: AckStatus) -> None:
        # What is said when the handler has returned comes too late: its end is carried out.
        if id(raw) in self._said:
            self._said[id(raw)] = status

    def handler(self) -> Callable[..., Any]:
        """A function the bus can subscribe: it has the name of the one that it stands for."""
        if self._subscriber.is_batch:
            return self._named(self._for_batches())

        async def deliver(envelope: Envelope, message: Message[Any]) -> Any:
            result = await self.handle(message)
            return None if envelope.reply_to is None else result

        return self._named(deliver)

    def _for_batches(self) -> Callable[..., Any]:
        async def deliver(events: Any, messages: list[Message[Any]]) -> Any:
            await self.handle(messages)

        # Who decodes by themselves is given the bytes, whatever the items are.
        item: Any = batch_item(self._subscriber.calls[0]) if self._subscriber.reads else Envelope
        deliver.__annotations__["events"] = list[item]
        return deliver

    def _named(self, deliver: Callable[..., Any]) -> Callable[..., Any]:
        declared = self._subscriber.function
        deliver.__name__ = deliver.__qualname__ = self._subscriber.handler_name
        deliver.__module__ = getattr(declared, "__module__", deliver.__module__)
        # Who says that it returns nothing is an observer of requests that a wildcard brings.
        returns = getattr(declared, "__annotations__", {}).get("return", Any)
        if returns in (None, "None") or self._subscriber.is_silent:
            deliver.__annotations__["return"] = None
        return deliver

    async def handle(self, raw: Any) -> Any:
        """Returns what the handler returned. Raises what the bus shall see as its end."""
        self._said[id(raw)] = None
        try:
            response = await self._subscriber.process_message(raw)
        except (StopApplication, SystemExit) as error:
            self._exit()
            said = self._said[id(raw)]
            if said is not None:
                after_return(self._policy, said)
            elif isinstance(error, SystemExit):
                raise
            return None
        except Exception as error:
            try:
                after_error(self._policy, self._said.get(id(raw)), error)
            finally:
                if isinstance(error, StopConsume):
                    await self._subscriber.stop()
            return None
        else:
            said = self._said[id(raw)]
            if said is not None or self._policy is AckPolicy.MANUAL:
                after_return(self._policy, said)
            return response.body
        finally:
            self._said.pop(id(raw), None)

    def _exit(self) -> None:
        app = self._subscriber.outer.context.get("app")
        if app is not None:
            app.exit()
