"""What a bus is made of, put together in one place."""

from __future__ import annotations

import os

from ._channels import Channels
from ._charting import agree_on_channels
from ._composing import Composer
from ._declared import declaration_of, declared_for
from ._drain import Drain
from ._emit import Emitter
from ._group import GroupRunner
from ._groups import Groups
from ._handling import Handling
from ._host import Host, State
from ._open import open_transport, without_secrets
from ._publisher import Publisher
from ._request import Requests
from ._runtime import Runtime, Watchers
from ._sealing import Sealer
from ._settings import Settings
from ._verdict import Retry
from .errors import OptionError
from .middleware import Hooks, Trace, compose_send
from .transport import Clock, SystemClock, TakesClock, Transport

__all__ = ["Parts"]


def _opened(target: str | Transport, clock: Clock) -> Transport:
    if isinstance(target, str):
        transport = open_transport(target)
    elif isinstance(target, type) or not (hasattr(target, "send") and hasattr(target, "listen")):
        raise OptionError(
            f"Bus({target!r}): it takes a URL, such as memory://, or a transport object"
        )
    else:
        transport = target
    # A clock that was made for a transport object stays, unless the bus was given one.
    if isinstance(transport, TakesClock) and (transport is not target or not _is_systems(clock)):
        transport.clock = clock
    return transport


def _is_systems(clock: Clock) -> bool:
    return type(clock) is SystemClock


class Parts:
    """The parts of one bus."""

    def __init__(self, target: str | Transport, settings: Settings) -> None:
        transport = _opened(target, settings.clock)
        hooks = tuple(each.hooks for each in settings.middleware if isinstance(each, Trace))
        self.settings = settings
        self.url = without_secrets(target) if isinstance(target, str) else None
        """Where others find the broker; None for a transport object."""
        self.runtime = Runtime(
            transport=transport,
            encoder=settings.codec,
            resender=settings.resending,
            clock=settings.clock,
            service=settings.service,
            log=settings.log,
            watchers=Watchers(hooks),
        )
        self.runtime.timeout = settings.publish_timeout
        self.runtime.on_dead = settings.on_dead
        self.runtime.retry_of = self._retry_of
        self.channels = Channels(settings.channels)
        self.sealer = Sealer(self.runtime, self.channels, settings.validate)
        self.publisher = Publisher(self.runtime, self.sealer, fail_open=settings.fail_open)
        self.instance = f"{os.getpid()}-{os.urandom(4).hex()}"
        self.composer = Composer(self.runtime, settings.middleware)
        self.groups = Groups(
            settings.service,
            member=self.instance,
            bound=settings.max_in_flight,
            channels=self.channels.holding,
            composer=self.composer,
        )
        self.drain = Drain(self.runtime)
        self.host = Host(self.runtime, self.drain)
        self.emitter = Emitter(self.publisher, settings.emit_buffer)
        self.host.on_state.append(self._open_emitter)
        self.host.after_connect.append(self._agree_on_channels)
        self.requests = Requests(self.publisher, f"{settings.service}.replies.{self.instance}")
        self.replies: GroupRunner | None = None
        """Opened by the first request."""
        self._compose_publishing()

    async def _agree_on_channels(self) -> None:
        patterns = {each for one in self.groups.runners.values() for each in one.routes.patterns}
        overrides = self.channels.overrides
        await agree_on_channels(self.runtime.transport, overrides, sorted(patterns))

    def replies_runner(self) -> GroupRunner:
        """The group that replies come by; this process's own."""
        if self.replies is None:
            requests = self.requests
            bound = self.settings.max_in_flight
            runner = GroupRunner(
                requests.group, self.instance, bound, self.channels.holding, private=True
            )
            runner.routes.add(Handling("reply", ("**",), requests.take, None))
            self.replies = runner
        return self.replies

    def _compose_publishing(self) -> None:
        publisher = self.publisher
        through = compose_send(publisher.send_alone, self.settings.middleware)
        if through != publisher.send_alone:
            publisher.through = through
        publisher.watched = bool(self.runtime.watchers.published)
        if publisher.through is None and not self.settings.fail_open:
            self.host.on_state.append(self._open_express)

    def watch(self, hooks: Hooks) -> None:
        """Have these called too, from now on."""
        self.runtime.watchers.add(hooks)
        self._rewatch()

    def unwatch(self, hooks: Hooks) -> None:
        self.runtime.watchers.remove(hooks)
        self._rewatch()

    def _rewatch(self) -> None:
        self.composer.watch()
        self.publisher.watched = bool(self.runtime.watchers.published)
        if self._open_express in self.host.on_state:
            self._open_express(self.host.state)

    def _open_express(self, state: State) -> None:
        # Nobody is told of what goes that way.
        if state is State.RUNNING and not self.publisher.watched:
            self.sealer.open()
        else:
            self.sealer.close()

    def _open_emitter(self, state: State) -> None:
        if state is State.STARTING:
            self.emitter.open()
        elif state is State.STOPPED:
            self.emitter.close()

    def _retry_of(self, topic: str) -> Retry:
        # Not by the sealer's routes: a foreign topic may break the rules for ours.
        cls = declared_for(topic)
        declared = None if cls is None else declaration_of(cls)
        if declared is not None and declared.retry is not None:
            return declared.retry
        return self.settings.retry
