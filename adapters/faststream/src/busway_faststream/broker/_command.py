"""What passes through FastStream's publishing side, and what handlers may return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, cast

from faststream.response import BatchPublishCommand, PublishCommand, PublishType, Response

from busway import PublishOptions

__all__ = ["BusPublishCommand", "BusResponse"]


class BusResponse(Response):
    """What a handler returns when its result needs more than a body: a key, a delay, headers.

    See ``busway.PublishOptions`` for the options; they hold for what the handler's publishers
    send.
    """

    def __init__(self, body: Any, /, **options: Unpack[PublishOptions]) -> None:
        given = dict(options)
        headers = cast("dict[str, Any] | None", given.pop("headers", None))
        correlation_id = cast("str | None", given.pop("correlation_id", None))
        super().__init__(body, headers=headers, correlation_id=correlation_id)
        self.options = given

    def as_publish_command(self) -> BusPublishCommand:
        return BusPublishCommand(
            self.body,
            headers=self.headers,
            correlation_id=self.correlation_id,
            options=self.options,
            _publish_type=PublishType.PUBLISH,
        )


class BusPublishCommand(BatchPublishCommand):
    """A publish on its way through the middlewares."""

    def __init__(
        self,
        body: Any,
        /,
        *bodies: Any,
        _publish_type: PublishType,
        destination: str = "",
        reply_to: str = "",
        correlation_id: str | None = None,
        headers: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(
            body,
            *bodies,
            _publish_type=_publish_type,
            destination=destination,
            reply_to=reply_to,
            correlation_id=correlation_id,
            headers=headers,
        )
        self._is_empty = False
        self.options: dict[str, Any] = options or {}
        """What else ``bus.publish`` is given."""
        self.timeout = timeout
        """Seconds, of a request."""

    @property
    def batch_bodies(self) -> tuple[Any, ...]:
        """What is published: None is an event's data as well as anything else is, and not the
        end of a batch or the lack of one."""
        return () if self._is_empty else (self.body, *self.extra_bodies)

    @batch_bodies.setter
    def batch_bodies(self, value: Sequence[Any]) -> None:
        self._is_empty = not value
        self.body = value[0] if value else None
        self.extra_bodies = tuple(value[1:])

    @classmethod
    def from_cmd(cls, cmd: PublishCommand, *, batch: bool = False) -> BusPublishCommand:
        if isinstance(cmd, BusPublishCommand):
            return cmd
        body, bodies = cls._parse_bodies(cmd.body, batch=batch)
        return cls(
            body,
            *bodies,
            destination=cmd.destination,
            reply_to=cmd.reply_to,
            correlation_id=cmd.correlation_id,
            headers=cmd.headers,
            _publish_type=cmd.publish_type,
        )
