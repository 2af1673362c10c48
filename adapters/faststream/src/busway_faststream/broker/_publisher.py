"""Publishers: what stands under a handler and sends its result, and what is published by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack, cast

from faststream.response import PublishCommand, PublishType

from busway import Envelope, PublishOptions

from ._command import BusPublishCommand
from ._compat import FakePublisher, ProducerProto, PublisherUsecase
from ._config import BusBrokerConfig, PublisherConfig
from ._message import BusMessage
from ._specification import BusPublisherSpecification
from ._topics import topic_of

__all__ = ["BusPublisher", "ReplyPublisher", "command"]


def command(
    body: Any, topic: str, kind: PublishType, *, reply_to: str = "", **options: Any
) -> BusPublishCommand:
    """A publish as it enters the middlewares. Raises EventError where nothing says its topic."""
    if isinstance(body, Envelope):
        topic = body.topic
    elif not topic:
        topic = topic_of(body.__class__)
    return BusPublishCommand(
        body,
        destination=topic,
        headers=dict(options.pop("headers", None) or {}),
        correlation_id=options.pop("correlation_id", None),
        reply_to=reply_to,
        options=options,
        _publish_type=kind,
    )


class ReplyPublisher(FakePublisher):
    """Sends a handler's result to the topic that the event it handled named for it."""

    def __init__(self, producer: ProducerProto[Any], topic: str) -> None:
        super().__init__(producer=producer)
        self._topic = topic

    def patch_command(self, cmd: PublishCommand) -> BusPublishCommand:
        patched = BusPublishCommand.from_cmd(super().patch_command(cmd))
        patched.destination = self._topic
        return patched


class BusPublisher(PublisherUsecase):
    """What ``broker.publisher(...)`` returns: decorate a handler with it, or call ``publish``."""

    def __init__(self, config: PublisherConfig, specification: BusPublisherSpecification) -> None:
        described: Any = specification
        super().__init__(config, described)
        self._own = config

    @property
    def outer(self) -> BusBrokerConfig:
        """The configuration of its broker and routers."""
        return cast("BusBrokerConfig", self._outer_config)

    @property
    def topic(self) -> str:
        """With the prefixes of its routers."""
        return self._own.places.addresses(self.outer.prefix)[0].template

    async def publish(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, message: Any = None, /, *, reply_to: str = "", **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish on its topic; see ``busway.PublishOptions`` for the options.

        Raises what ``Bus.publish`` raises.
        """
        given: dict[str, Any] = {**self._own.options, **options}
        cmd = command(message, self.topic, PublishType.PUBLISH, reply_to=reply_to, **given)
        sent: Envelope = await self._basic_publish(
            cmd, producer=self.outer.producer, _extra_middlewares=()
        )
        return sent

    async def request(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, message: Any = None, /, *, timeout: float = 30.0, **options: Unpack[PublishOptions]
    ) -> BusMessage:
        """Publish and await one reply. Raises what ``Bus.request`` raises."""
        given: dict[str, Any] = {**self._own.options, **options}
        cmd = command(message, self.topic, PublishType.REQUEST, **given)
        cmd.timeout = timeout
        reply: BusMessage = await self._basic_request(cmd, producer=self.outer.producer)
        return reply

    async def _publish(self, cmd: PublishCommand, *, _extra_middlewares: Iterable[Any]) -> None:
        """A handler's result; None of a handler is sent, too, as any publisher of FastStream's
        does it."""
        sent = BusPublishCommand.from_cmd(cmd)
        sent.destination = self.topic
        sent.options = {**self._own.options, **sent.options}
        sent.headers = {**sent.options.pop("headers", {}), **sent.headers}
        await self._basic_publish(
            sent, producer=self.outer.producer, _extra_middlewares=_extra_middlewares
        )
