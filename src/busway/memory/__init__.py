"""``memory://``: the transport inside one process, and ``null://``, which forgets everything.

It has no privilege: it uses what an outside adapter may use, and passes the same suite. It is
written to be read; a new adapter can start from here.

URL options: ``mailbox`` (events a group may have waiting before publishers wait, 1024), ``history``
(events kept for groups that begin later, 0), ``dead`` (dead letters kept for each group and
channel, 10,000), ``lease`` (seconds a loan lasts; without it, as long as its feed), ``codec=json``
(encode and decode every event, with whatever codec the bus has, for tests that must prove that it
can be).
"""

from __future__ import annotations

from ._null import NullTransport as NullTransport
from ._null import open_null as open_null
from ._transport import MemoryTransport as MemoryTransport
from ._url import open as open

__all__ = ["MemoryTransport", "NullTransport", "open", "open_null"]

for _public in (MemoryTransport, NullTransport):
    _public.__module__ = __name__
