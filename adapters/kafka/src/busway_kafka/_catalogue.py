"""What there is to read for one group: its channels, their topics, and how wide these are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from busway.transport import Address, Group, Purpose

from ._assigning import Unit
from ._client import Client
from ._names import Names
from ._offsets import EARLIEST, LATEST, committed, moment_of, offsets_at
from ._options import Options
from ._topics import width_of_retries

__all__ = ["Catalogue"]


class Catalogue:
    """Of one group, as one member knows it from the metadata."""

    def __init__(self, client: Client, options: Options, names: Names, group: Group) -> None:
        self.group = group
        self.kafka_id = names.group(group.name)
        self.known: dict[str, tuple[str, ...]] = {}
        """The topics of each channel that this group reads."""
        self._client = client
        self._options = options
        self._names = names
        self._dealt: Mapping[str, int] = {}
        self._starts: dict[tuple[str, int], int] = {}

    def look(self) -> bool:
        """See which topics there are now. Whether there are other channels than before, or others
        than were dealt out."""
        found: dict[str, list[str]] = {}
        for topic in self._client.leaders:
            channel = self._read_of(topic)
            if channel is not None:
                found.setdefault(channel, []).append(topic)
        before = self.known
        self.known = {channel: tuple(sorted(topics)) for channel, topics in found.items()}
        return set(before) != set(self.known) or self.widths(self._dealt) != self._dealt

    def become(self, other: Catalogue) -> None:
        """Read what the other one does, which is of the same member and knows where that begins."""
        self.group = other.group
        self._starts.update(other._starts)
        self.look()

    def dealt(self, widths: Mapping[str, int]) -> None:
        """So wide all channels of the group were when this member dealt them out."""
        self._dealt = widths

    def _read_of(self, topic: str) -> str | None:
        """The channel to which a topic belongs for this group; None: it does not read it."""
        found = self._names.address_of(topic)
        if found is None:
            return None
        address = found[0]
        if address.purpose is Purpose.EVENT:
            channels = self.group.channels
            if not self.group.patterns:
                return None
            if channels is None:
                return self._names.channel_of(topic)
            return address.channel if address.channel in channels else None
        own = address.group == self.group.name and address.purpose is not Purpose.DEAD
        return address.channel if own else None

    # --- as the membership deals it out

    def claimed(self) -> tuple[str, ...]:
        """The channels, as they are now: what changes from here on is worth another round."""
        self._dealt = self.widths(self.known)
        return tuple(sorted(self.known))

    def topics(self) -> list[str]:
        return sorted(topic for topics in self.known.values() for topic in topics)

    def widths(self, channels: Iterable[str]) -> Mapping[str, int]:
        widths = dict.fromkeys(channels, 0)
        for topic in self._client.leaders:
            found = self._names.address_of(topic)
            if found is None or found[0].channel not in widths:
                continue
            address = found[0]
            if address.purpose is Purpose.EVENT or (
                address.group == self.group.name and address.purpose is not Purpose.DEAD
            ):
                width = self._client.partitions(topic)
                widths[address.channel] = max(widths[address.channel], width)
        if self.has_retries:
            # Their topic is made soon. Dealt out together, all of it has one fence.
            widths = {c: width and width_of_retries(width) for c, width in widths.items()}
        return widths

    @property
    def has_retries(self) -> bool:
        """Whether each channel that it reads gets a topic to try again from."""
        group = self.group
        return group.durable and bool(group.patterns) and self._options.create == "auto"

    def events_of(self, channels: Iterable[str]) -> Mapping[str, int]:
        """How many partitions of each have events of its own."""
        topic = self._names.topic
        return {each: self._client.partitions(topic(Address(each))) for each in channels}

    def places(self, units: Iterable[Unit]) -> list[tuple[str, list[int]]]:
        """The partitions of topics that belong to these units."""
        places: dict[str, list[int]] = {}
        for channel, number in units:
            for topic in self.known.get(channel, ()):
                if number < self._client.partitions(topic):
                    places.setdefault(topic, []).append(number)
        return sorted(places.items())

    # --- where it begins

    async def find_start(self, besides: Collection[str] | None = None) -> None:
        """Where a group that Kafka has never seen begins in what there is now, but for what it read
        already. Raises TransportError."""
        moment = moment_of(self.group.start) if self.group.durable else LATEST
        if moment == EARLIEST:
            return
        if besides is None and self.group.durable and await committed(self._client, self.kafka_id):
            return
        places = {
            topic: list(range(self._client.partitions(topic)))
            for topic in self.topics()
            if topic not in (besides or ()) and self._is_events(topic)
        }
        if places:
            self._starts.update(await offsets_at(self._client, places, moment))

    def _is_events(self, topic: str) -> bool:
        found = self._names.address_of(topic)
        return found is not None and found[0].purpose is Purpose.EVENT

    def start_of(self, topic: str, number: int) -> int:
        """The offset at which a group begins that has committed nothing there."""
        return self._starts.get((topic, number), 0)
