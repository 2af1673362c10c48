"""What the parts of the broker are made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from faststream import AckPolicy

from busway import Bus, SubscribeOptions

from ._address import Address, address_of
from ._compat import (
    EMPTY,
    BrokerConfig,
    PublisherSpecificationConfig,
    PublisherUsecaseConfig,
    SubscriberSpecificationConfig,
    SubscriberUsecaseConfig,
)
from ._topics import topic_of

__all__ = [
    "BusBrokerConfig",
    "Places",
    "PublisherConfig",
    "PublisherDescription",
    "RouterConfig",
    "SubscriberConfig",
    "SubscriberDescription",
]


class Places:
    """The patterns and the classes that a subscriber or a publisher names.

    A router's prefix stands before a pattern; the topic of a declared class is what it is.
    """

    def __init__(self, *named: str | type) -> None:
        self.named = named

    def addresses(self, prefix: str) -> list[Address]:
        """Raises EventError for a class that is not declared, PatternError."""
        return [
            address_of(f"{prefix}{each}" if isinstance(each, str) else topic_of(each))
            for each in self.named
        ]


@dataclass(kw_only=True)
class BusBrokerConfig(BrokerConfig):
    bus: Bus = field(default_factory=Bus)
    url: str | None = None
    """What it was made of; None of a ``Bus``."""


@dataclass(kw_only=True)
class RouterConfig(BrokerConfig):
    """A router knows no bus before a broker has included it."""


@dataclass(kw_only=True)
class SubscriberConfig(SubscriberUsecaseConfig):
    places: Places
    options: SubscribeOptions

    @property
    def ack_policy(self) -> AckPolicy:
        """FastStream acknowledges nothing: the bus does, when the pipeline is through."""
        return AckPolicy.MANUAL

    @property
    def policy(self) -> AckPolicy:
        """What an error of the handler means."""
        given: Any = self._ack_policy
        if given is EMPTY:
            given = self._outer_config.ack_policy
        return AckPolicy.NACK_ON_ERROR if given is EMPTY else given


@dataclass(kw_only=True)
class SubscriberDescription(SubscriberSpecificationConfig):
    places: Places


@dataclass(kw_only=True)
class PublisherConfig(PublisherUsecaseConfig):
    places: Places
    options: dict[str, Any]


@dataclass(kw_only=True)
class PublisherDescription(PublisherSpecificationConfig):
    places: Places
