"""The events of a bus: which there are, who takes them, and where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ._asyncapi import Described, Operation
from ._declared import declaration_of, declared_for, declared_topics
from ._group import GroupRunner
from ._handling import Handling
from ._parts import Parts
from ._patterns import exact_topics, read_pattern
from ._routing import matcher
from ._schemas import Schema, schema_of_topic
from ._spec import pattern_of
from .errors import OptionError

__all__ = ["Catalogue"]

Places = dict[str | None, list[str]]
"""Topics, and patterns of which no topic is known, by channel; None when that cannot be told."""


class Catalogue:
    """The events of one bus, as they are now."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._takers = [
            (parts.groups.runners[group], handling) for group, handling in parts.composer.handlings
        ]
        named = {
            topic
            for _, handling in self._takers
            for pattern in handling.patterns
            for topic in exact_topics(pattern)
        }
        self.topics = sorted(named.union(declared_topics()))
        """Those of every declared class, and those that handlers name."""

    def chosen(self, only: Sequence[str | type]) -> list[str]:
        """The topics that patterns or classes choose; all without any. Raises OptionError."""
        if not only:
            return self.topics
        patterns = [pattern_of(each) for each in only]
        known = set(self.topics)
        for topic in (topic for pattern in patterns for topic in exact_topics(pattern)):
            if topic not in known and not self._taking(topic):
                raise OptionError(
                    f"{topic!r} is nobody's: no class is declared for it, and no handler of this "
                    "bus takes it"
                )
            known.add(topic)
        return [topic for topic in sorted(known) if matcher(patterns)(topic)]

    def schema(self, topic: str) -> Schema:
        """Of a topic."""
        return schema_of_topic(topic, map(self._parts.composer.annotation, self._taking(topic)))

    def described(self, name: str) -> Described:
        """A topic, or a pattern of which no topic is known."""
        if exact_topics(name) == [name]:
            return Described(name, self.schema(name))
        takers = [each for _, each in self._takers if name in _wild(each.patterns)]
        schema = schema_of_topic(name, map(self._parts.composer.annotation, takers))
        return Described(name, schema, is_pattern=True)

    def _taking(self, topic: str) -> list[Handling]:
        runners = self._parts.groups.runners.values()
        return [handling for runner in runners for handling in runner.routes.takers(topic)]

    def received(self) -> Iterator[Operation]:
        """What each handler takes, one for each channel."""
        for runner, handling in self._takers:
            topics = [t for t in self.topics if handling in runner.routes.takers(t)]
            places = self._places(topics, handling.patterns)
            name = _name(runner, handling)
            for channel, messages in places.items():
                yield Operation(
                    f"{name}.{channel or 'any'}" if len(places) > 1 else name,
                    "receive",
                    channel,
                    tuple(messages),
                    f"{handling.name} takes {', '.join(handling.patterns)} in the group "
                    f"{runner.name}.",
                    _details(runner, handling),
                )

    def sent(self, sends: Iterable[str | type] | None) -> Iterator[Operation]:
        """What is published, one for each channel. Raises OptionError."""
        given: object = sends
        if given is not None and (isinstance(given, str | type) or not isinstance(given, Iterable)):
            raise OptionError(f"sends={given!r}: it takes a list: sends=[{given!r}]")
        declared = declared_topics()
        patterns = declared if sends is None else [pattern_of(each) for each in sends]
        named = {topic for pattern in patterns for topic in exact_topics(pattern)}
        topics = [t for t in sorted(named.union(declared)) if matcher(patterns)(t)]
        for channel, messages in self._places(topics, patterns).items():
            yield Operation(
                f"send.{channel or 'any'}",
                "send",
                channel,
                tuple(messages),
                f"{self._parts.settings.service} publishes to {channel or 'any channel'}.",
            )

    def _places(self, topics: Sequence[str], patterns: Iterable[str]) -> Places:
        places: Places = {}
        for topic in topics:
            places.setdefault(self._channel(topic), []).append(topic)
        for pattern in _wild(patterns):
            if any(map(matcher([pattern]), topics)):
                continue
            for channel in sorted(self._parts.channels.holding([pattern]) or [""]):
                places.setdefault(channel or None, []).append(pattern)
        return places

    def _channel(self, topic: str) -> str:
        """As publishing will find it, which takes note of what a class says."""
        channels, cls = self._parts.channels, declared_for(topic)
        declared = None if cls is None else declaration_of(cls)
        if declared is not None and declared.channel and topic not in channels.overrides:
            return declared.channel
        return channels.of(topic)


def _wild(patterns: Iterable[str]) -> list[str]:
    """The patterns without alternatives that these stand for and that name no topic."""
    every = (one.text for pattern in patterns for one in read_pattern(pattern))
    return [text for text in dict.fromkeys(every) if not exact_topics(text)]


def _name(runner: GroupRunner, handling: Handling) -> str:
    if runner.name.endswith(handling.name):  # by default a group is named by its handler
        return f"receive.{runner.name}"
    return f"receive.{runner.name}.{handling.name}"


def _details(runner: GroupRunner, handling: Handling) -> dict[str, Any]:
    policy = runner.agreement.policy
    return {
        "group": runner.name,
        "handler": handling.name,
        "patterns": list(handling.patterns),
        "concurrency": policy.concurrency,
        "broadcast": policy.broadcast,
    }
