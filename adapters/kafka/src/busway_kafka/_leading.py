"""What the member does that a group's coordinator made its leader: it deals out what all claim."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.protocol.group import MemberAssignment, ProtocolMetadata

from ._assigning import Claim, Unit, assigned
from ._catalogue import Catalogue
from ._client import Client

__all__ = ["claims_in", "dealt_out", "units_in"]

_HEARSAY = (0.02, 0.1, 0.3)


async def dealt_out(
    client: Client, catalogue: Catalogue, claims: Mapping[str, Claim]
) -> list[tuple[str, bytes]]:
    """What each member gets, as Kafka carries it. Raises TransportError."""
    channels = {channel for claim in claims.values() for channel in claim.channels}
    widths = await _widths(client, catalogue, channels)
    catalogue.dealt(widths)
    dealt = assigned(claims, widths, catalogue.events_of(channels))
    return [(member, _assignment(catalogue, units)) for member, units in dealt.items()]


async def _widths(client: Client, catalogue: Catalogue, channels: set[str]) -> Mapping[str, int]:
    """Brokers hear of a new topic one after another: who claims a channel may have asked one
    that knew it already."""
    for pause in _HEARSAY:
        await client.refresh()
        widths = catalogue.widths(channels)
        if all(widths.values()):
            return widths
        await asyncio.sleep(pause)
    await client.refresh()
    return catalogue.widths(channels)


def _assignment(catalogue: Catalogue, units: list[Unit]) -> bytes:
    """With the topics, for who looks with Kafka's tools; what counts are the units."""
    places = catalogue.places(units)
    about = Claim(owned=tuple(units)).data()
    encoded: bytes = MemberAssignment(0, places, about).encode()
    return encoded


def claims_in(metadata: bytes | None) -> Claim:
    """What a member said of itself, as the broker keeps it."""
    if not metadata:
        return Claim()
    said: Any = ProtocolMetadata.decode(metadata)
    return Claim.of(said.user_data)


def units_in(assignment: bytes | None) -> list[Unit]:
    """What a member is given, as the broker hands it on."""
    if not assignment:
        return []
    said: Any = MemberAssignment.decode(assignment)
    return list(Claim.of(said.user_data).owned)
