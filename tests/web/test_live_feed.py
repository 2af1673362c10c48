"""The example's page in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from examples.flights.load import flights
from tests.servers._ports import free_port
from tests.servers._until import until
from tests.servers.plugin import started_or_skip
from tests.web.browser import Browser

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = "return [...document.querySelectorAll('#board tr')].map(row => row.innerText.split('\\t'))"
TOTAL = (
    "return [...document.querySelectorAll('#counts b')].reduce((all, b) => all + +b.textContent, 0)"
)
STATE = "return document.getElementById('state').textContent"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with started_or_skip(Browser) as browser:
        yield browser


@contextmanager
def feed(port: int, rate: float) -> Generator[str]:
    """The example, serving."""
    command = [sys.executable, "examples/24_live_feed.py", "--serve", "--port", str(port)]
    served = subprocess.Popen(
        [*command, "--rate", str(rate)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert line.startswith("look at "), "it does not serve"
        yield line.removeprefix("look at ").strip()
    finally:
        served.kill()
        served.wait(20)
        assert served.stdout is not None
        served.stdout.close()


@pytest.mark.timeout(120)
def test_the_page_shows_flights_as_they_depart_and_comes_back_by_itself(browser: Browser) -> None:
    port = free_port()
    with feed(port, 25.0) as url:
        browser.open(url)
        browser.wait_for(f"{TOTAL} >= 40", "forty flights on the board")
        rows, state = browser.run(ROWS), browser.run(STATE)
        if "BUSWAY_SCREENSHOT" in os.environ:
            Path(os.environ["BUSWAY_SCREENSHOT"]).write_bytes(browser.screenshot())
    assert state == "live"
    shown = [(row[1], row[2], row[3]) for row in reversed(rows)]
    known = [(f"{f.carrier} {f.number}", f.origin, f.destination) for f in flights(500)]
    first = known.index(shown[0])
    assert len(shown) == 12
    assert shown == known[first : first + 12], "in their order, none missing"
    browser.wait_for(f"{STATE} === 'connecting again'", "the page notices that the server is gone")
    with feed(port, 25.0):
        browser.wait_for(f"{STATE}.startsWith('live')", "the page comes back by itself")
        assert browser.run(STATE) == "live; some flights were missed"
        browser.wait_for(f"{TOTAL} > {browser.run(TOTAL)}", "it goes on")


class _Gateway(BaseHTTPRequestHandler):
    """A proxy whose app is away: after this answer a browser does not come back by itself."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(502)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.timeout(120)
def test_a_page_that_connects_anew_says_where_it_was(browser: Browser) -> None:
    port = free_port()
    with feed(port, 25.0) as url:
        browser.open(url)
        browser.wait_for(f"{TOTAL} >= 5", "flights on the board")
    with ThreadingHTTPServer(("127.0.0.1", port), _Gateway) as gateway:
        thread = Thread(target=gateway.serve_forever)
        thread.start()
        try:
            until(lambda: len(_Gateway.asked) >= 2, "the page comes back by itself", 30.0)
        finally:
            gateway.shutdown()
            thread.join()
    assert re.fullmatch(r"/live/\?last-event-id=[0-9a-f]{8}\.[0-9a-f-]{36}", _Gateway.asked[1])
