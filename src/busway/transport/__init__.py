"""The contract between the bus and whatever carries its events.

A transport does three things: send, receive, acknowledge. Retries, dead letters, order,
concurrency, request and reply are made from those three, once, in the core. **An adapter never
retries, never decides and never runs user code.**

Words: an *envelope* travels; a *channel* is where a broker keeps events (one stream, one topic);
a *group* shares events among its members; a *delivery* is an envelope lent to this process until it
is acknowledged, released, or the loan runs out; a *lane* is what is handled one after another.

Every sentence below that says what an adapter does is a test of ``busway.testing.TransportSuite``.
Beside the required protocols stand the *powers*: small protocols of which an adapter implements
those its broker can keep. The core looks for them once, when a subscription starts; where one is
missing that was asked for, starting fails with ``MissingPower`` and its name. No power is ever a
method that raises ``NotImplementedError``.

The errors that may cross this boundary are ``TransportError`` (any fault of the broker, mapped at
the adapter's edge, once, with the client's exception as its cause) and ``OptionError``. Another one
is an error of the adapter, and stops the bus.

**A broker that says nothing is a broker that broke.** Every call that waits for the broker ends
within a deadline, and raises ``TransportError`` (retryable) when no answer came by then:
connecting, joining a group, ``ack``, ``release`` and all that the powers do. It is different for
what waits for work, ``receive``, ``hand`` and ``Loan.drained``: that may be for ever. ``send`` is
told its deadline, and says in its outcomes what it knows. Leaving, a group or the transport, ends
in time and raises nothing.

The core brings no deadline of its own: only the adapter knows what had left the process. Its length
is an option of the adapter's, in seconds, told in its documentation; it is shorter than a third of
the lease, where there is one, so that ``extend`` can be tried again in time. Whether a call that
ended so was carried out is unknown. Each may be made again, and what it did is then done once. A
call that asks nobody may return.
"""

from __future__ import annotations

from ._delivery import Delivery as Delivery
from ._delivery import Loan as Loan
from ._feed_powers import Extends as Extends
from ._feed_powers import Follows as Follows
from ._feed_powers import HandsOver as HandsOver
from ._feed_powers import Moves as Moves
from ._feed_powers import Redelivers as Redelivers
from ._fresh import Fresh as Fresh
from ._items import WRITTEN as WRITTEN
from ._items import Address as Address
from ._items import Encoder as Encoder
from ._items import NotWritten as NotWritten
from ._items import Outcome as Outcome
from ._items import Outgoing as Outgoing
from ._items import Purpose as Purpose
from ._items import Raw as Raw
from ._items import Start as Start
from ._items import Story as Story
from ._items import Unknown as Unknown
from ._items import Written as Written
from ._powers import Announces as Announces
from ._powers import Browsed as Browsed
from ._powers import Browses as Browses
from ._powers import ChannelState as ChannelState
from ._powers import Charts as Charts
from ._powers import Discards as Discards
from ._powers import GroupState as GroupState
from ._powers import Holds as Holds
from ._powers import Live as Live
from ._powers import Located as Located
from ._powers import ManagesGroups as ManagesGroups
from ._powers import Port as Port
from ._powers import Posts as Posts
from ._powers import Reports as Reports
from ._powers import Rewinds as Rewinds
from ._powers import TakesClock as TakesClock
from ._powers import Volatile as Volatile
from ._protocols import Feed as Feed
from ._protocols import Group as Group
from ._protocols import Transport as Transport
from ._time import Clock as Clock
from ._time import SystemClock as SystemClock

__all__ = [
    "WRITTEN",
    "Address",
    "Announces",
    "Browsed",
    "Browses",
    "ChannelState",
    "Charts",
    "Clock",
    "Delivery",
    "Discards",
    "Encoder",
    "Extends",
    "Feed",
    "Follows",
    "Fresh",
    "Group",
    "GroupState",
    "HandsOver",
    "Holds",
    "Live",
    "Loan",
    "Located",
    "ManagesGroups",
    "Moves",
    "NotWritten",
    "Outcome",
    "Outgoing",
    "Port",
    "Posts",
    "Purpose",
    "Raw",
    "Redelivers",
    "Reports",
    "Rewinds",
    "Start",
    "Story",
    "SystemClock",
    "TakesClock",
    "Transport",
    "Unknown",
    "Volatile",
    "Written",
]
