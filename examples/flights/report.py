"""What a run found, as tables on a terminal or plain text in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from rich.console import Console
from rich.table import Table

from .account import KINDS, Account
from .carriers import NAMES, Delays, RouteDelays

__all__ = ["Result", "show"]

LEAST_FLIGHTS = 100
"""Carriers and routes with fewer flights are not ranked: one bad day would decide."""


class Result(msgspec.Struct, frozen=True):
    """Everything that the report shows."""

    plain: Mapping[str, int]
    kinds: Mapping[str, int]
    airports: Mapping[str, Mapping[str, int]]
    carriers: Mapping[str, Delays]
    seconds: float
    """From the first publish until all caused work was done; the redrive is not counted."""
    deliveries: int
    retries: int
    dead: int
    dead_after: int
    account: Account


def show(console: Console, result: Result) -> None:
    """Print everything. The last line says whether every flight is accounted for."""
    for table in (_kinds, _airports, _carriers, _routes, _run):
        console.print(table(result))
    for difference in result.account.differences:
        console.print(difference, style="red")
    console.print(result.account.line, style="red" if result.account.differences else "green")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _kinds(result: Result) -> Table:
    table = _table("Totals", "event", "bus", "file")
    for kind in KINDS:
        table.add_row(kind, f"{result.kinds.get(kind, 0):,}", f"{result.plain.get(kind, 0):,}")
    table.add_row("together", f"{sum(result.kinds.values()):,}", f"{sum(result.plain.values()):,}")
    return table


def _airports(result: Result) -> Table:
    table = _table("Airports of departure", "airport", "flights", *(k.split(".")[1] for k in KINDS))
    for airport, kinds in sorted(result.airports.items()):
        table.add_row(
            airport, f"{sum(kinds.values()):,}", *(f"{kinds.get(kind, 0):,}" for kind in KINDS)
        )
    return table


def _least(flights: Iterable[int]) -> int:
    """How many flights it takes to be ranked; fewer in a small part of the data."""
    return min(LEAST_FLIGHTS, max(flights, default=0) // 10)


def _carriers(result: Result) -> Table:
    table = _table(
        "Worst carriers", "carrier", "flights", "mean delay", "worst", "late", "cancelled"
    )
    least = _least(sum(delays.kinds.values()) for delays in result.carriers.values())
    worst = sorted(result.carriers.items(), key=lambda item: -item[1].mean)
    ranked = [item for item in worst if sum(item[1].kinds.values()) >= least]
    for code, delays in ranked[:5]:
        flights = sum(delays.kinds.values())
        table.add_row(
            f"{code} {NAMES.get(code, '')}",
            f"{flights:,}",
            f"{delays.mean:.1f} min",
            f"{delays.worst:,} min",
            f"{delays.kinds.get('flight.delayed', 0) / flights:.0%}",
            f"{delays.kinds.get('flight.cancelled', 0):,}",
        )
    return table


def _routes(result: Result) -> Table:
    counts: Counter[str] = Counter()
    minutes: Counter[str] = Counter()
    for delays in result.carriers.values():
        for route, of_route in delays.routes.items():
            counts[route] += of_route.flights
            minutes[route] += of_route.minutes
    least = _least(counts.values())
    means = {
        route: RouteDelays(count, minutes[route]).mean
        for route, count in counts.items()
        if count >= least
    }
    table = _table("Worst routes", "route", "flights", "mean delay")
    for route in sorted(means, key=lambda route: -means[route])[:5]:
        table.add_row(route, f"{counts[route]:,}", f"{means[route]:.1f} min")
    return table


def _run(result: Result) -> Table:
    flights = sum(result.plain.values())
    table = _table("The run", "", "")
    table.show_header = False
    table.add_row("time", f"{result.seconds:.2f} s")
    table.add_row("throughput", f"{flights / result.seconds:,.0f} flights a second")
    table.add_row("", f"{result.deliveries / result.seconds:,.0f} deliveries a second")
    table.add_row("deliveries handled", f"{result.deliveries:,}")
    table.add_row("retries", f"{result.retries:,}")
    table.add_row("dead letters before the redrive", f"{result.dead:,}")
    table.add_row("dead letters after it", f"{result.dead_after:,}")
    return table
