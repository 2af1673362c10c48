"""The flights demo: its reading of the data, its comparison, and whole runs of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from examples.flights import __main__ as demo
from examples.flights import app
from examples.flights.account import compare, plain_count
from examples.flights.events import AnyFlight, Cancelled, Delayed, Departed, Diverted
from examples.flights.load import flights

ROOT = Path(__file__).parent.parent
WHOLE = {
    "flight.cancelled": 521,
    "flight.diverted": 85,
    "flight.delayed": 4_891,
    "flight.departed": 21_507,
}


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.flights", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_every_flight_of_the_month_becomes_one_event_of_its_kind() -> None:
    kinds = Counter(type(flight) for flight in flights())
    assert kinds == {Cancelled: 521, Diverted: 85, Delayed: 4_891, Departed: 21_507}


def test_the_plain_count_of_the_file_has_the_published_totals() -> None:
    assert plain_count() == WHOLE


def test_flights_are_in_the_order_of_the_schedule() -> None:
    times = [flight.scheduled for flight in flights()]
    assert times == sorted(times)


def test_flights_of_one_minute_keep_the_order_of_the_file() -> None:
    first = [f"{flight.carrier}{flight.number}" for flight in flights(20)]
    assert first[3:9] == ["B6725", "UA1696", "B61806", "DL461", "B6507", "EV5708"]


def test_only_cancelled_flights_have_no_aircraft() -> None:
    without = Counter(type(flight) for flight in flights() if flight.tail is None)
    assert without == {Cancelled: 155}


def test_equal_totals_are_all_accounted_for() -> None:
    account = compare({"a": 2_000, "b": 1}, {"one": {"a": 2_000, "b": 1}, "two": {"b": 1}})
    assert account.line == "2,001 of 2,001 accounted for"
    assert account.differences == ()


def test_a_flight_that_one_subscriber_missed_is_not_accounted_for() -> None:
    account = compare({"a": 3}, {"one": {"a": 3}, "two": {"a": 2}})
    assert account.line == "2 of 3 accounted for"
    assert account.differences == ("two: 2 of a, the file has 3",)


def test_a_flight_counted_twice_is_a_difference() -> None:
    account = compare({"a": 3}, {"one": {"a": 4}})
    assert account.line == "3 of 3 accounted for"
    assert account.differences == ("one: 4 of a, the file has 3",)


def test_a_kind_that_the_file_does_not_have_is_a_difference() -> None:
    assert compare({}, {"one": {"a": 1}}).differences == ("one: 1 of a, the file has 0",)


def test_the_whole_month_goes_through_the_bus_and_nothing_is_lost() -> None:
    done = run_demo()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "27,004 of 27,004 accounted for"
    for kind, count in WHOLE.items():
        assert [kind, f"{count:,}", f"{count:,}"] in [
            line.replace("│", " ").split() for line in done.stdout.splitlines()
        ]


def test_a_limited_run_accounts_for_its_part() -> None:
    done = run_demo("--limit", "500", "--rate", "5000")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "500 of 500 accounted for"


def test_the_exit_status_is_1_when_a_flight_is_withheld(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def all_but_one(limit: int | None = None) -> list[AnyFlight]:
        return flights(limit)[1:]

    monkeypatch.setattr(app, "flights", all_but_one)
    assert demo.main(["--limit", "50", "--url", "memory://"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "49 of 50 accounted for"


def test_no_carrier_reads_what_another_hears() -> None:
    """On a broker a group reads the whole of its channels."""
    handlers = app.App("memory://", flights()).bus.topology().handlers
    read = {each.group: each.channels for each in handlers if "carrier." in (each.group or "")}
    assert len(read) == 16
    assert len(set(read.values())) == 16


@pytest.mark.anyio
async def test_the_demo_runs_on_both_event_loops() -> None:
    result = await app.run("memory://", Console(file=StringIO()), limit=1_000)
    assert result.account.line == "1,000 of 1,000 accounted for"


@pytest.mark.anyio
async def test_a_redrive_empties_the_dead_letters_and_tells_everybody() -> None:
    result = await app.run("memory://?codec=json", Console(file=StringIO()), limit=3_000)
    assert result.dead > 0
    assert result.dead_after == 0
    assert result.account.differences == ()


def test_a_broker_that_nobody_speaks_to_is_exit_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert demo.main(["--limit", "1", "--url", "pigeon://loft"]) == 2
    assert "pigeon" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--rate", "-1"], ["--limit", "x"]])
def test_a_senseless_number_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        demo.main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
