"""An actor per carrier: each keeps the delay statistics of one airline, and answers for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from busway import Actor, Bus, Message, on

from .events import AnyFlight, Cancelled

__all__ = ["NAMES", "Delays", "Reported", "RouteDelays", "add_carriers", "ask", "channels"]

NAMES: Final = {
    "9E": "Endeavor",
    "AA": "American",
    "AS": "Alaska",
    "B6": "JetBlue",
    "DL": "Delta",
    "EV": "ExpressJet",
    "F9": "Frontier",
    "FL": "AirTran",
    "HA": "Hawaiian",
    "MQ": "Envoy",
    "OO": "SkyWest",
    "UA": "United",
    "US": "US Airways",
    "VX": "Virgin America",
    "WN": "Southwest",
    "YV": "Mesa",
}


class Reported(msgspec.Struct, frozen=True):
    """What a carrier hears about one of its flights."""

    kind: str
    route: str
    minutes_late: int | None
    """None when it never left."""


class RouteDelays(msgspec.Struct):
    """Flights that left on one route, and how late they left together."""

    flights: int = 0
    minutes: int = 0

    @property
    def mean(self) -> float:
        """Minutes."""
        return self.minutes / self.flights if self.flights else 0.0

    def add(self, minutes: int) -> None:
        self.flights += 1
        self.minutes += minutes


class Delays(msgspec.Struct):
    """The state of one carrier's actor."""

    kinds: dict[str, int] = {}
    routes: dict[str, RouteDelays] = {}
    worst: int = 0
    """Minutes."""

    @property
    def mean(self) -> float:
        """Minutes of delay on departure, over the flights that left."""
        left = RouteDelays()
        for route in self.routes.values():
            left.flights += route.flights
            left.minutes += route.minutes
        return left.mean

    def add(self, flight: Reported) -> None:
        self.kinds[flight.kind] = self.kinds.get(flight.kind, 0) + 1
        if flight.minutes_late is not None:
            self.worst = max(self.worst, flight.minutes_late)
            self.routes.setdefault(flight.route, RouteDelays()).add(flight.minutes_late)


def actor_of(code: str) -> Actor:
    """The actor of one carrier: its own state, its own mailbox, one flight at a time."""

    class Carrier(Actor):
        def __init__(self) -> None:
            self.delays = Delays()

        @on(f"carrier.{code}.reported")
        async def reported(self, flight: Reported) -> None:
            self.delays.add(flight)

        @on(f"carrier.{code}.asked")
        async def asked(self) -> Delays:
            return self.delays

    return Carrier()


def channels(codes: Iterable[str]) -> dict[str, str]:
    """A channel for each carrier: on a broker a group reads the whole of its channels, and an actor
    is not to read what all the others hear."""
    return {f"carrier.{code}.*": f"carrier.{code}" for code in codes}


def add_carriers(bus: Bus, codes: Iterable[str]) -> None:
    """Add an actor for each carrier, and the subscriber that tells each about its flights."""
    for code in codes:
        bus.add(actor_of(code), group=f"flights.carrier.{code}")

    @bus.subscribe("flight.*", group="flights.carriers")
    async def report(flight: AnyFlight, message: Message[AnyFlight]) -> None:
        late = None if isinstance(flight, Cancelled) else flight.minutes_late
        route = f"{flight.origin}-{flight.destination}"
        await message.publish(
            f"carrier.{flight.carrier}.reported", Reported(message.topic, route, late)
        )


async def ask(bus: Bus, code: str) -> Delays:
    """What the carrier's actor knows, wherever it runs."""
    return await bus.request(f"carrier.{code}.asked", {}, returns=Delays)
