"""The names of everything in Kafka, and what a name means.

A channel's events lie in ``<prefix><channel>``. What belongs to one group of it lies in
``<prefix><channel>.<group>.retry.<tier>``, ``.dead`` and ``.reply``, where every ``.`` of the
channel is doubled: the first single one is where the channel ends, whatever the two are called.
Characters that Kafka does not take become ``_x3a_``, the number of the character in hexadecimal; so
does a ``_`` that would be read as the beginning of such a thing, and no other. No two addresses
have the same name, and each name that was made can be taken apart again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from busway import OptionError
from busway.transport import Address, Purpose

from ._tiers import NOW, TIERS

__all__ = ["LONGEST", "Names"]

LONGEST: Final = 249
"""Characters of a topic's name: Kafka's limit."""

_META: Final = "__busway"
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]|_(?=x[0-9a-f]+(?:_|[^A-Za-z0-9._-]))")
_ESCAPED = re.compile(r"_x([0-9a-f]+)_")
_PREFIX = re.compile(r"[A-Za-z0-9._-]*")
_DERIVED = re.compile(
    r"(?P<channel>(?:[^.]|\.\.)+)\.(?P<group>[^.].*)"
    rf"\.(?:(?P<purpose>dead|reply)|retry\.(?P<tier>{'|'.join(TIERS)}))"
)
_REMEMBERED: Final = 10_000


class Names:
    """The names under one prefix."""

    def __init__(self, prefix: str = "busway.", follow: str | None = None) -> None:
        """``follow``: a regular expression; wildcards see only the topics it matches as a whole.

        Raises OptionError.
        """
        if not _PREFIX.fullmatch(prefix):
            raise OptionError(f"prefix={prefix!r}: Kafka takes letters, digits, '.', '_' and '-'")
        self.prefix = prefix
        self.meta = f"{prefix}{_META}"
        """What all processes have to agree on, and which groups there are."""
        self._followed = None if follow is None else _compiled(follow)
        self._events: dict[str, str] = {}
        self._topics: dict[tuple[str, Purpose, str | None, str], str] = {}

    def topic(self, address: Address, tier: str = NOW) -> str:
        """Where an item of this address is written. Raises OptionError."""
        if address.purpose is Purpose.EVENT:
            event = self._events.get(address.channel)
            if event is None:
                event = self._events[address.channel] = self._made(address, tier)
            return event
        asked = (address.channel, address.purpose, address.group, tier)
        known = self._topics.get(asked)
        if known is None:
            known = self._made(address, tier)
            if len(self._topics) >= _REMEMBERED:  # groups that lived as long as their process
                self._topics.clear()
            self._topics[asked] = known
        return known

    def group(self, name: str) -> str:
        """What Kafka calls a group."""
        return f"{self.prefix}{name}"

    def group_of(self, group_id: str) -> str | None:
        """The group that Kafka calls so; None: it is none of this prefix."""
        name = group_id.removeprefix(self.prefix)
        return name if name and group_id.startswith(self.prefix) else None

    def channel_of(self, topic: str) -> str | None:
        """The channel whose events lie there; None where wildcards do not follow."""
        if self._followed is None:
            if not self.prefix:
                return None
        elif not self._followed.fullmatch(topic):
            return None
        # Kafka's own, in case the prefix is empty.
        found = None if topic.startswith("__") else self.address_of(topic)
        return None if found is None or found[0].purpose is not Purpose.EVENT else found[0].channel

    def address_of(self, topic: str) -> tuple[Address, str] | None:
        """Whose topic it is, with the tier if it is one for retries; None: nobody's of this prefix,
        or the meta topic."""
        if not topic.startswith(self.prefix) or topic == self.meta:
            return None
        body = topic[len(self.prefix) :]
        derived = _DERIVED.fullmatch(body)
        tier = "" if derived is None else derived["tier"] or ""
        if derived is None:
            address = Address(_decoded(body))
        else:
            purpose = Purpose.RETRY if tier else Purpose(derived["purpose"])
            channel = _decoded(derived["channel"].replace("..", "."))
            address = Address(channel, purpose, _decoded(derived["group"]))
        try:  # a name that we would not have given is not ours
            return (address, tier) if self._made(address, tier or NOW) == topic else None
        except OptionError:
            return None

    def _made(self, address: Address, tier: str) -> str:
        channel, purpose = address.channel, address.purpose
        body = _encoded(channel)
        if purpose is Purpose.EVENT:
            # Another prefix that begins with ours has its own, below ours.
            if not body or body.endswith(_META) or _DERIVED.fullmatch(body):
                raise OptionError(
                    f"channel {channel!r}: its topic would look like one that belongs to a group, "
                    "or to the bus; call it otherwise"
                )
        else:
            kind = f"retry.{tier}" if purpose is Purpose.RETRY else purpose.value
            body = f"{body.replace('.', '..')}.{_group(address.group or '')}.{kind}"
        name = f"{self.prefix}{body}"
        if len(name) > LONGEST:
            raise OptionError(
                f"topic {name!r} has {len(name)} characters, and Kafka takes {LONGEST}: give "
                "channel, group or prefix= a shorter name"
            )
        return name


def _compiled(follow: str) -> re.Pattern[str]:
    try:
        return re.compile(follow)
    except (re.error, RecursionError, OverflowError) as error:
        raise OptionError(f"follow={follow!r} is no regular expression: {error}") from error


def _group(name: str) -> str:
    encoded = _encoded(name)
    # Beside the dot that ends the channel it would look like one of the channel's.
    return f"_x2e_{encoded[1:]}" if encoded.startswith(".") else encoded


@lru_cache(maxsize=1_024)
def _encoded(text: str) -> str:
    return _FOREIGN.sub(lambda found: f"_x{ord(found[0]):x}_", text)


def _decoded(text: str) -> str:
    return _ESCAPED.sub(_character, text)


def _character(escaped: re.Match[str]) -> str:
    number = int(escaped[1], 16) if len(escaped[1]) <= 6 else 0xD800
    return escaped[0] if 0xD800 <= number < 0xE000 or number > 0x10FFFF else chr(number)
