"""One server's process and folder, whatever the server is."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

from ._errors import ServerError
from ._running import Running
from ._sweeper import Leftover
from ._until import until

__all__ = ["Process"]


class Process:
    """A server on 127.0.0.1, on one port for its life.

    ``patience`` is in seconds: how long a start, a stop or a change of state may take.
    """

    def __init__(self, *, patience: float) -> None:
        self.patience = patience
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="busway-"))
        self._leftover = Leftover("remove", str(self.folder))
        self._running: Running | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there; a paused one is."""
        return self._running is not None and self._running.status is None

    @property
    def log(self) -> str:
        """The last lines that the server printed."""
        path = self.folder / "server.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-20:])

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and wait until it answers, unless ``ready=False``.

        Raises NoServer when the machine has none, ServerError when it does not come up.
        """
        if self.running:
            raise ServerError(f"the server on port {self.port} runs already")
        first = self.port == 0
        for _ in range(5):
            if first:
                self._settle()
            self._running = self._launch()
            if self._came_up(ready):
                return self
            if not first:
                break
        raise ServerError(f"somebody else listens on port {self.port}\n{self.log}")

    def stop(self) -> None:
        """End it as an operator does (SIGTERM): it writes what it has. Raises ServerError when it
        does not end in time; it is killed then."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by kill -9."""
        self._end(signal.SIGKILL)

    def restart(self, *, hard: bool = False, ready: bool = True) -> None:
        """End it, by kill -9 when ``hard``, and start it on the same port and folder."""
        if self.running:
            self._end(signal.SIGKILL if hard else signal.SIGTERM)
        self.start(ready=ready)

    def pause(self) -> None:
        """SIGSTOP: the connections stay open, and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """Kill it when it runs, and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._leftover.gone()

    def __enter__(self) -> Self:
        try:
            return self if self.running else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self) -> None:
        """Choose a port, and write the configuration. It is done once, or again when somebody took
        the port first: the server may rewrite its configuration."""
        raise NotImplementedError

    def _launch(self) -> Running:
        raise NotImplementedError

    def _answers(self, ready: bool) -> bool:
        """Whether this server, and no other that was first on its port, answers; with ``ready``,
        whether it can work, too."""
        raise NotImplementedError

    def _came_up(self, ready: bool) -> bool:
        """False when its port was taken by somebody else."""
        ended = False

        def answers() -> bool:
            nonlocal ended
            ended = not self.running
            return ended or self._answers(ready)

        try:
            until(answers, f"an answer on port {self.port}", self.patience, log=lambda: self.log)
        except ServerError:
            if self.running:
                self.kill()
            raise
        if ended and "Address already in use" not in self.log:
            raise ServerError(f"the server ended at its start\n{self.log}")
        return not ended

    def _send(self, number: signal.Signals) -> Running:
        if self._running is None or not self.running:
            raise ServerError(f"the server on port {self.port} does not run\n{self.log}")
        self._running.send(number)
        return self._running

    def _end(self, number: signal.Signals) -> None:
        if number is not signal.SIGKILL:
            # What is paused takes nothing else.
            self._send(signal.SIGCONT)
        running = self._send(number)
        if not running.ended(self.patience):
            running.send(signal.SIGKILL)
            running.ended(self.patience)
            raise ServerError(f"not ended within {self.patience:g} s by {number.name}\n{self.log}")
