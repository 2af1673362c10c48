"""Busway: an async, actor-style event bus. The names an application uses, and nothing else."""

from __future__ import annotations

from inspect import get_annotations as _get_annotations

from ._actor import Actor as Actor
from ._actor import Supervise as Supervise
from ._actor import on as on
from ._bus import Bus as Bus
from ._crew import Batch as Batch
from ._dead import DeadLetters as DeadLetters
from ._dead import Replayed as Replayed
from ._declared import event as event
from ._event_of import event_of as event_of
from ._letter import DeadLetter as DeadLetter
from ._relay import relay as relay
from ._reports import GroupStats as GroupStats
from ._reports import HandlerInfo as HandlerInfo
from ._reports import Stats as Stats
from ._reports import Topology as Topology
from ._routing import matches as matches
from ._spec import SubscribeOptions as SubscribeOptions
from ._subscription import Subscription as Subscription
from ._verdict import Backoff as Backoff
from ._verdict import Retry as Retry
from .errors import BuswayError as BuswayError
from .errors import DrainTimeout as DrainTimeout
from .errors import EncodeError as EncodeError
from .errors import EventError as EventError
from .errors import GroupError as GroupError
from .errors import HandlerError as HandlerError
from .errors import HandlerSignal as HandlerSignal
from .errors import InvalidEvent as InvalidEvent
from .errors import MissingPower as MissingPower
from .errors import OptionError as OptionError
from .errors import PatternError as PatternError
from .errors import PublishError as PublishError
from .errors import PublishUnknown as PublishUnknown
from .errors import Reject as Reject
from .errors import RequestError as RequestError
from .errors import RequestFailed as RequestFailed
from .errors import RequestTimeout as RequestTimeout
from .errors import RetryLater as RetryLater
from .errors import SendError as SendError
from .errors import StateError as StateError
from .errors import TooLarge as TooLarge
from .errors import TopicError as TopicError
from .errors import TransportError as TransportError
from .errors import Undecodable as Undecodable
from .errors import UnknownTransport as UnknownTransport
from .errors import UsageError as UsageError
from .message import Envelope as Envelope
from .message import Message as Message
from .message import PublishOptions as PublishOptions

__all__ = [
    "Actor",
    "Backoff",
    "Batch",
    "Bus",
    "BuswayError",
    "DeadLetter",
    "DeadLetters",
    "DrainTimeout",
    "EncodeError",
    "Envelope",
    "EventError",
    "GroupError",
    "GroupStats",
    "HandlerError",
    "HandlerInfo",
    "HandlerSignal",
    "InvalidEvent",
    "Message",
    "MissingPower",
    "OptionError",
    "PatternError",
    "PublishError",
    "PublishOptions",
    "PublishUnknown",
    "Reject",
    "Replayed",
    "RequestError",
    "RequestFailed",
    "RequestTimeout",
    "Retry",
    "RetryLater",
    "SendError",
    "StateError",
    "Stats",
    "SubscribeOptions",
    "Subscription",
    "Supervise",
    "TooLarge",
    "TopicError",
    "Topology",
    "TransportError",
    "Undecodable",
    "UnknownTransport",
    "UsageError",
    "event",
    "event_of",
    "matches",
    "on",
    "relay",
]


def _show_at_the_door() -> None:
    """Reprs, tracebacks and pickles name the public place, not the file that holds it.

    Annotations are texts that are read in the module a class says it is of: where there are any,
    they are resolved before that changes, for those who read them at run time. msgspec does, when
    somebody's own struct holds an Envelope.
    """
    for name in __all__:
        public = globals()[name]
        own = _get_annotations(public, eval_str=True) if isinstance(public, type) else {}
        if own:
            public.__annotations__ = own
    for name in __all__:
        globals()[name].__module__ = __name__


_show_at_the_door()
