"""All that the broker needs of FastStream and that FastStream does not call public.

No other module imports from ``faststream._internal``. What stands here was run with the versions
that ``_versions`` names; ``make test-faststream`` runs it with each of them.
"""

from __future__ import annotations

from ._supported import VERSION as VERSION

# isort: split
from faststream._internal.broker import BrokerUsecase as BrokerUsecase
from faststream._internal.broker.registrator import Registrator as Registrator
from faststream._internal.broker.router import ArgsContainer as ArgsContainer
from faststream._internal.broker.router import BrokerRouter as BrokerRouter
from faststream._internal.broker.router import SubscriberRoute as SubscriberRoute
from faststream._internal.configs import BrokerConfig as BrokerConfig
from faststream._internal.configs import (
    PublisherSpecificationConfig as PublisherSpecificationConfig,
)
from faststream._internal.configs import PublisherUsecaseConfig as PublisherUsecaseConfig
from faststream._internal.configs import (
    SubscriberSpecificationConfig as SubscriberSpecificationConfig,
)
from faststream._internal.configs import SubscriberUsecaseConfig as SubscriberUsecaseConfig
from faststream._internal.constants import EMPTY as EMPTY
from faststream._internal.di import FastDependsConfig as FastDependsConfig
from faststream._internal.endpoint.publisher import PublisherSpecification as PublisherSpecification
from faststream._internal.endpoint.publisher import PublisherUsecase as PublisherUsecase
from faststream._internal.endpoint.publisher.fake import FakePublisher as FakePublisher
from faststream._internal.endpoint.subscriber import (
    SubscriberSpecification as SubscriberSpecification,
)
from faststream._internal.endpoint.subscriber import SubscriberUsecase as SubscriberUsecase
from faststream._internal.endpoint.subscriber.call_item import CallsCollection as CallsCollection
from faststream._internal.endpoint.subscriber.call_item import HandlerItem as HandlerItem
from faststream._internal.endpoint.subscriber.utils import default_filter as default_filter
from faststream._internal.endpoint.utils import ParserComposition as ParserComposition
from faststream._internal.logger import DefaultLoggerStorage as DefaultLoggerStorage
from faststream._internal.logger import make_logger_state as make_logger_state
from faststream._internal.logger.logging import get_broker_logger as get_broker_logger
from faststream._internal.parser import CodecProto as CodecProto
from faststream._internal.parser import DefaultCodec as DefaultCodec
from faststream._internal.producer import ProducerProto as ProducerProto
from faststream._internal.testing.broker import TestBroker as TestBroker
from faststream._internal.testing.broker import change_producer as change_producer
from faststream.specification.asyncapi.utils import resolve_payloads as resolve_payloads
from faststream.specification.asyncapi.utils import to_camelcase as to_camelcase

__all__ = [
    "EMPTY",
    "VERSION",
    "ArgsContainer",
    "BrokerConfig",
    "BrokerRouter",
    "BrokerUsecase",
    "CallsCollection",
    "CodecProto",
    "DefaultCodec",
    "DefaultLoggerStorage",
    "FakePublisher",
    "FastDependsConfig",
    "HandlerItem",
    "ParserComposition",
    "ProducerProto",
    "PublisherSpecification",
    "PublisherSpecificationConfig",
    "PublisherUsecase",
    "PublisherUsecaseConfig",
    "Registrator",
    "SubscriberRoute",
    "SubscriberSpecification",
    "SubscriberSpecificationConfig",
    "SubscriberUsecase",
    "SubscriberUsecaseConfig",
    "TestBroker",
    "change_producer",
    "default_filter",
    "get_broker_logger",
    "make_logger_state",
    "resolve_payloads",
    "to_camelcase",
]
