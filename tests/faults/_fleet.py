"""The processes of a fault run, and what is done to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec

from ._journal import Journal
from ._proxy import Proxy
from ._settings import Settings

__all__ = ["ROOT", "Faulty", "Worker"]

ROOT = Path(__file__).resolve().parents[2]


class Faulty:
    """The journal of whoever does the damage."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def during(self, kind: str, who: str, pid: int | None) -> Generator[None]:
        """A fault lasts as long as the context; ``pid`` None hits all."""
        name = f"f{next(self._numbers)}"
        self.journal.write("begin", name, kind, who, "*" if pid is None else pid)
        try:
            yield
        finally:
            self.journal.write("done", name)


class Worker:
    """One place in the fleet: a process, and when that ends another."""

    def __init__(self, settings: Settings, faulty: Faulty, proxies: Sequence[Proxy] = ()) -> None:
        self.settings = settings
        self.proxies = proxies
        """All its connections go through one of them."""
        self._faulty = faulty
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._wanted = True

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def launch(self) -> None:
        """Start it, and keep it running until ``end`` or ``once`` is called."""
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep())

    async def ended(self) -> None:
        """Wait for the last process of this place."""
        if self._keeping is not None:
            await self._keeping

    async def end(self, patience: float = 30.0) -> None:
        """SIGTERM, and nobody takes its place. What does not end in time says where it hangs (in
        its log) and is killed; its status says so."""
        self._wanted = False
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self.ended())
        except TimeoutError:
            self.send(signal.SIGUSR1)
            await asyncio.sleep(1.0)
            self.send(signal.SIGABRT)
            await self.ended()

    def once(self) -> None:
        """When it ends, nobody takes its place."""
        self._wanted = False

    def send(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """kill -9."""
        pid = self.pid
        if pid is not None:
            with self._faulty.during("kill", self.name, pid):
                self.send(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM: it gives back what it has not begun, and acknowledges what it has done."""
        pid = self.pid
        if pid is not None:
            with self._faulty.during("term", self.name, pid):
                self.send(signal.SIGTERM)

    async def stop(self, seconds: float) -> None:
        """SIGSTOP, and after so many seconds SIGCONT."""
        pid = self.pid
        if pid is not None:
            with self._faulty.during("stop", self.name, pid):
                self.send(signal.SIGSTOP)
                await asyncio.sleep(seconds)
                if self.pid == pid:
                    self.send(signal.SIGCONT)

    def cut(self) -> None:
        """Reset its connections."""
        pid = self.pid
        if self.proxies and pid is not None:
            with self._faulty.during("cut", self.name, pid):
                for each in self.proxies:
                    each.cut()

    async def stall(self, seconds: float) -> None:
        """Nothing goes through for so many seconds."""
        pid = self.pid
        if self.proxies and pid is not None:
            with self._faulty.during("stall", self.name, pid):
                for each in self.proxies:
                    each.stall()
                await asyncio.sleep(seconds)
                for each in self.proxies:
                    each.heal()

    async def _keep(self) -> None:
        while True:
            process = self._process
            assert process is not None
            status = await process.wait()
            self._faulty.journal.write("exit", self.name, process.pid, status)
            if not self._wanted:
                return
            await self._spawn()

    async def _spawn(self) -> None:
        told = msgspec.json.encode(self.settings).decode()
        with (Path(self.settings.folder) / f"{self.name}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.worker", told,
                cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
