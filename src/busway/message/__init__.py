"""What travels (``Envelope``) and what a handler sees of it (``Message``)."""

from __future__ import annotations

from ._envelope import NO_HEADERS as NO_HEADERS
from ._envelope import Envelope as Envelope
from ._envelope import Ref as Ref
from ._message import BusPart as BusPart
from ._message import Message as Message
from ._message import Pausable as Pausable
from ._options import PublishOptions as PublishOptions

__all__ = ["Envelope", "Message", "Pausable", "PublishOptions"]
