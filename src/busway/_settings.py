"""What ``Bus`` is given beside the transport."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ._limited import Limited
from ._open import scheme_of, without_secrets
from ._runtime import OnDead
from ._sealing import Validate
from ._spec import checked
from ._verdict import Retry
from .codec import Codec, JsonCodec, MsgpackCodec
from .errors import OptionError
from .middleware import Mark, Middleware
from .transport import Clock, SystemClock, Transport

__all__ = ["Settings", "service_of"]


class Settings:
    """What ``Bus`` was given, checked."""

    def __init__(
        self,
        *,
        service: str,
        channels: Mapping[str, str] | None,
        retry: Retry,
        middleware: Sequence[Middleware | Mark],
        codec: str | Codec,
        fail_open: bool,
        on_dead: OnDead | None,
        logger: logging.Logger | None,
        validate: Validate,
        max_size: int,
        publish_timeout: float,
        max_in_flight: int,
        emit_buffer: int,
        clock: Clock | None,
    ) -> None:
        if not isinstance(service, str) or not service or any(c.isspace() for c in service):
            raise OptionError(f"service={service!r}: it takes a name without spaces")
        if not isinstance(retry, Retry):
            raise OptionError(f"retry={retry!r}: it takes a Retry(...)")
        if validate not in ("reject", "warn", "off"):
            raise OptionError(f'validate={validate!r}: it takes "reject", "warn" or "off"')
        for name, value in (
            ("max_size", max_size),
            ("publish_timeout", publish_timeout),
            ("max_in_flight", max_in_flight),
            ("emit_buffer", emit_buffer),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise OptionError(f"{name}={value!r}: it takes a number of more than 0")
        self.service = service
        self.channels = channels
        self.retry = retry
        self.middleware = checked(middleware, "Bus(middleware=)")
        self.codec = _codec(codec, max_size)
        self.resending = _resending(self.codec)
        self.fail_open = fail_open
        self.on_dead = on_dead
        self.log = logger or logging.getLogger("busway")
        self.validate: Validate = validate
        self.publish_timeout = publish_timeout
        self.max_in_flight = max_in_flight
        self.emit_buffer = emit_buffer
        self.clock = clock or SystemClock()


def service_of(target: str | Transport, service: str | None) -> str:
    """The service's name; only in one process is there a default."""
    if service is not None:
        return service
    if isinstance(target, str) and scheme_of(target) not in ("memory", "null"):
        raise OptionError(
            f"Bus({without_secrets(target)!r}): a broker is shared, so this process needs a name: "
            "give service="
        )
    return "app"


def _codec(given: str | Codec, max_size: int) -> Codec:
    if given == "json":
        return JsonCodec(max_size)
    if given == "msgpack":
        return MsgpackCodec(max_size)
    if given == "pydantic":
        raise OptionError(
            "codec='pydantic': models of pydantic need no codec of their own. Leave codec= as it "
            "is, and pip install 'busway[pydantic]'"
        )
    if isinstance(given, str) or not hasattr(given, "encode"):
        raise OptionError(f'codec={given!r}: it takes "json", "msgpack" or a Codec')
    if isinstance(given, JsonCodec | MsgpackCodec):
        return given  # made with a limit of its own
    return Limited(given, max_size)


def _resending(codec: Codec) -> Codec:
    """The same without a limit, where it is known how."""
    if isinstance(codec, JsonCodec | MsgpackCodec):
        return type(codec)(None)
    return codec.inner if isinstance(codec, Limited) else codec
