"""A real browser: Debian's Chromium without a window, driven over the WebDriver protocol."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import NoServer
from tests.servers._ports import free_port
from tests.servers._until import until

__all__ = ["Browser"]

PATIENCE = 30.0
# Without those about the background it looks for hosts of its maker's at every start.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=800,740",
]


class Browser:
    """One window. Raises NoServer where there is no browser to start."""

    def __init__(self) -> None:
        self._driver = shutil.which("chromedriver")
        known = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        self._browser = next(filter(None, known), None)
        if self._driver is None or self._browser is None:
            raise NoServer("no chromium and chromedriver on PATH")
        self._stack = ExitStack()

    def __enter__(self) -> Browser:
        with self._stack:
            self._session = self._stack.enter_context(self._started())
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def _started(self) -> Generator[str]:
        folder = tempfile.mkdtemp(prefix="busway-browser-")
        port = free_port()
        log = (Path(folder) / "driver.log").open("wb")
        # In a session of its own: what the browser starts is ended with it.
        command = [str(self._driver), f"--port={port}"]
        driver = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        try:
            until(self._answers, "an answer of chromedriver", PATIENCE)
            arguments = [*OPTIONS, f"--user-data-dir={folder}/profile"]
            options = {"binary": self._browser, "args": arguments}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            session = self._call("POST", "/session", wanted)["sessionId"]
            yield f"/session/{session}"
            self._call("DELETE", f"/session/{session}")
        finally:
            self._client.close()
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait(PATIENCE)
            log.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except httpx.TransportError:
            return False

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]

    def open(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a function with this body returns in the page."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def wait_for(self, script: str, what: str) -> None:
        until(lambda: bool(self.run(script)), what, PATIENCE)

    def screenshot(self) -> bytes:
        """As PNG."""
        return base64.b64decode(self._call("GET", f"{self._session}/screenshot"))
