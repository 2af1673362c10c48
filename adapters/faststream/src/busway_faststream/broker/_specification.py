"""What FastStream's AsyncAPI document says of subscribers and publishers."""

from __future__ import annotations

from typing import Any

from faststream.specification.schema import Message, Operation, PublisherSpec, SubscriberSpec

from ._compat import (
    CallsCollection,
    PublisherSpecification,
    SubscriberSpecification,
    resolve_payloads,
    to_camelcase,
)
from ._config import BusBrokerConfig, PublisherDescription, SubscriberDescription
from ._reading import wanted_by
from ._schemas import knows, of_topic, returned_by, schema_of

__all__ = ["BusPublisherSpecification", "BusSubscriberSpecification"]

Payloads = list[tuple[dict[str, Any], str]]


class BusSubscriberSpecification(SubscriberSpecification[BusBrokerConfig, SubscriberDescription]):
    """One channel for each pattern, by its template."""

    def __init__(
        self,
        outer_config: BusBrokerConfig,
        specification_config: SubscriberDescription,
        calls: CallsCollection[Any],
    ) -> None:
        super().__init__(outer_config, specification_config, calls)

    @property
    def channel_labels(self) -> list[str]:
        addresses = self.config.places.addresses(self._outer_config.prefix)
        return [each.template for each in addresses]

    def get_payloads(self) -> Payloads:
        """FastStream's own asks pydantic, which knows neither Structs nor attrs classes."""
        if not any(knows(wanted_by(call)) for call in self.calls if call.dependant is not None):
            return super().get_payloads()
        title = f"{self.config.title_ or self.call_name}:Message:Payload"
        return [(schema_of(wanted_by(call), title), to_camelcase(call.name)) for call in self.calls]

    def get_schema(self) -> dict[str, SubscriberSpec]:
        labels = self.channel_labels
        found: dict[str, SubscriberSpec] = {}
        for label in labels:
            key = self._channel_key(label, split=len(labels) > 1)
            found[key] = SubscriberSpec(
                address=label,
                description=self.description,
                operation=Operation(
                    message=Message(
                        title=f"{key}:Message", payload=resolve_payloads(self.get_payloads())
                    ),
                    bindings=None,
                ),
                bindings=None,
            )
        return found


class BusPublisherSpecification(PublisherSpecification[BusBrokerConfig, PublisherDescription]):
    """One channel for its topic."""

    @property
    def topic(self) -> str:
        return self.config.places.addresses(self._outer_config.prefix)[0].template

    @property
    def name(self) -> str:
        return self.config.title_ or f"{self.topic}:Publisher"

    def get_payloads(self) -> Payloads:
        title = f"{self.name}:Message:Payload"
        named = self.config.schema_
        if named is not None:
            return [(schema_of(named, title), "")] if knows(named) else super().get_payloads()
        declared = of_topic(self.topic, title)
        if declared is not None:
            return [(declared, "")]
        results = [(returned_by(call), call) for call in self.calls]
        if not any(knows(result) for result, _ in results):
            return super().get_payloads()
        return [
            (schema_of(result, title), to_camelcase(getattr(call, "__name__", "handler")))
            for result, call in results
            if result is not None
        ]

    def get_schema(self) -> dict[str, PublisherSpec]:
        return {
            self.name: PublisherSpec(
                address=self.topic,
                description=self.config.description_,
                operation=Operation(
                    message=Message(
                        title=f"{self.name}:Message",
                        payload=resolve_payloads(self.get_payloads(), "Publisher"),
                    ),
                    bindings=None,
                ),
                bindings=None,
            )
        }
