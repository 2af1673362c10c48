"""Carries messages over to a bus, and knows those that came from there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Any, Final
from urllib.parse import quote

import anyio
import msgspec
from faststream import PublishCommand, StreamMessage

from busway import (
    Backoff,
    Bus,
    EncodeError,
    Envelope,
    MissingPower,
    OptionError,
    PublishError,
    PublishUnknown,
    TooLarge,
)
from busway.transport import Located

from ._wire import (
    HOPS,
    TRACE,
    Lying,
    addresses_of,
    attributes_of,
    headers_of,
    is_model,
    json_of,
    key_of,
    lying,
    own_headers,
    texts,
    told,
)

__all__ = ["Ferry", "TopicOf", "Topics", "place_of"]

_NEVER: Final = (EncodeError, TooLarge)
_WAITS: Final = Backoff(first=0.05, factor=2.0, cap=5.0)
_log = logging.getLogger("busway.faststream")


def place_of(address: str) -> str:
    """How a stream or topic of FastStream's stands among the places where an event has been."""
    return f"faststream:{quote(address, safe='-_:./')}"


TopicOf = Callable[[str], str | None]


class Topics:
    """Which topic a stream, channel or topic of FastStream's is on the bus."""

    def __init__(self, given: Mapping[str, str] | TopicOf | None) -> None:
        self._of: TopicOf | None
        if given is None or callable(given):
            self._of = given
        elif isinstance(given, Mapping):
            self._of = given.get
        else:
            raise OptionError(
                f"topics={given!r}: it takes a mapping of FastStream's names to topics, or a "
                "function of a name"
            )

    def of(self, address: str, headers: Mapping[str, Any]) -> str | None:
        """None for what is not mirrored."""
        if self._of is not None:
            return self._of(address)
        return headers.get("ce_type") or address


class Ferry:
    """To one bus."""

    def __init__(self, bus: Bus, topics: Topics, patience: float) -> None:
        self.bus = bus
        self.echoes = 0
        self.refused = 0
        self._topics = topics
        self._patience = patience
        self._place: str | None = None

    async def place(self) -> str:
        """Where the bus keeps its events. Raises MissingPower, TransportError."""
        if self._place is None:
            transport = self.bus.transport
            if not isinstance(transport, Located):
                raise MissingPower(
                    f"{type(transport).__name__} cannot say where it is (power: Located), so that "
                    "a loop would not be noticed"
                )
            self._place = await transport.location()
        return self._place

    async def came_from_bus(self, headers: Mapping[str, Any]) -> bool:
        """Whether the bus had this before."""
        hops = str(headers.get(HOPS, "")).split()
        return bool(hops) and await self.place() in hops

    def returns(self, cmd: PublishCommand) -> bool:
        """Whether this would be sent where it came from."""
        address, hops = cmd.destination, str(cmd.headers.get(HOPS, "")).split()
        if place_of(address) not in hops:
            return False
        self._say_echo(f"came from {address!r} and is not sent there again")
        return True

    def _say_echo(self, what: str) -> None:
        self.echoes += 1
        if self.echoes == 1:
            _log.info("a message %s. This is said once; all are counted as echoes", what)

    async def bring(self, msg: StreamMessage[Any]) -> bool:
        """Publish what a message holds; whether there was anything to publish. What the bus can
        never take is said in the log, and passed over: raised, it would be delivered again at
        once and for ever, and all behind it would wait."""
        events = await self._events(msg)
        for event, why in await self._insist(events) if events else ():
            self._refuse(event.id, event.topic, why)
        return bool(events)

    async def _events(self, msg: StreamMessage[Any]) -> list[Envelope]:
        addresses = addresses_of(msg.raw_message)
        all_headers = told(msg)
        places = lying(msg.raw_message)
        events: list[Envelope] = []
        for number, (item, said) in enumerate(await self._items(msg)):
            headers = all_headers[number] if number < len(all_headers) else {}
            address = addresses[min(number, len(addresses) - 1)]
            topic = self._topics.of(address, headers)
            if topic is None:
                continue
            if await self.came_from_bus(headers):
                self._say_echo("has been on the bus before and is not sent there again")
                continue
            known = _known(msg, headers, places[number] if number < len(places) else Lying())
            try:
                data, kind = _plain(item)
                kind = kind and (said or kind)
                events.append(self._event(topic, data, kind, address, headers, known))
            except Exception as error:
                # Nobody was asked for anything: what this fails of now, it will always fail of.
                self._refuse(known.get("id", msg.message_id), topic, error)
        return events

    def _refuse(self, id: str, topic: str, why: BaseException) -> None:
        self.refused += 1
        _log.error(
            "the message %s is not on the bus, which can never take it as %s; the app handles it "
            "all the same. Correct who sends it, or what is declared for the topic: %s",
            id,
            topic,
            why,
        )

    async def bring_command(self, cmd: PublishCommand) -> None:
        """Publish what is about to be sent, and mark it as known. What the bus sends is known."""
        topic = self._topics.of(cmd.destination, cmd.headers)
        if topic is None or await self.came_from_bus(cmd.headers):
            return
        bodies = cmd.batch_bodies or (None,)
        known = {"correlation_id": cmd.correlation_id} if cmd.correlation_id else {}
        headers = texts(cmd.headers)
        if len(bodies) == 1 and headers.get("ce_id"):
            # The event of another bus, which a bridge sends.
            known |= attributes_of(headers)
        keys = (key_of(cmd, number) for number in range(len(bodies)))
        events = [
            self._sent(topic, body, cmd.destination, headers, _keyed(key) | known)
            for body, key in zip(bodies, keys, strict=True)
        ]
        for _, why in await self._insist(events):
            raise why
        hops = events[0].headers[HOPS]
        # Not add_headers: that writes into the dict of whoever publishes, and the next message
        # with the same one would pass for one that came from the bus.
        cmd.headers = {**cmd.headers, HOPS: f"{hops} {await self.place()}"}

    async def _items(self, msg: StreamMessage[Any]) -> list[tuple[Any, str | None]]:
        """What a delivery holds, each with the content type that its message says."""
        decoded: Any = await msg.decode()
        if msg.batch_headers and isinstance(decoded, list):
            return [(each, None) for each in decoded]  # pyright: ignore[reportUnknownVariableType]
        return [(decoded, msg.content_type)]

    def _sent(
        self,
        topic: str,
        body: Any,
        address: str,
        headers: Mapping[str, Any],
        known: dict[str, Any],
    ) -> Envelope:
        """What is published, as an event: an envelope stays the event that it is."""
        if not isinstance(body, Envelope):
            return self._event(topic, *_plain(body), address, headers, known)
        own = headers_of(body, body.headers.get(HOPS, ""), "")
        kind = body.content_type
        return self._event(topic, body.data, kind, address, {**own, **headers}, attributes_of(own))

    def _event(
        self,
        topic: str,
        data: Any,
        kind: str | None,
        address: str,
        headers: Mapping[str, Any],
        known: dict[str, Any],
    ) -> Envelope:
        version = known.get("schema_version")
        options = {name: value for name, value in known.items() if name != "schema_version"}
        envelope = self.bus.envelope(topic, data, **options)
        hops = f"{headers.get(HOPS, '')} {place_of(address)}".strip()
        changes: dict[str, Any] = {"headers": {**own_headers(headers), HOPS: hops}}
        changes |= {name: headers[name] for name in TRACE if headers.get(name)}
        if kind is not None:
            changes["content_type"] = kind
        if version is not None:
            changes["schema_version"] = version
        return msgspec.structs.replace(envelope, given_id=envelope.id, **changes)

    async def _insist(self, events: Sequence[Envelope]) -> list[tuple[Envelope, BaseException]]:
        """Publish these; what the bus does not take is tried again, while there is patience. Those
        that it can never take, each with why."""
        deadline = anyio.current_time() + self._patience
        never: list[tuple[Envelope, BaseException]] = []
        refusals = 0
        while events:
            try:
                await self.bus.publish_many(events)
                break
            except (PublishError, PublishUnknown) as error:
                failed = error.failed or [(envelope, error) for envelope in events]
                never += [each for each in failed if isinstance(each[1], _NEVER)]
                events = [envelope for envelope, why in failed if not isinstance(why, _NEVER)]
                if not events:
                    break
                refusals += 1
                wait = _WAITS.wait(refusals, random())
                if anyio.current_time() + wait > deadline:
                    raise
                if refusals == 1:
                    _log.warning("the bus does not take events now, messages wait: %s", error)
                await anyio.sleep(wait)
        return never


def _known(msg: StreamMessage[Any], headers: Mapping[str, Any], where: Lying) -> dict[str, Any]:
    """What the broker and the message say of an event."""
    placed = {
        "id": where.place,
        "key": where.key,
        "time": where.time,
        "correlation_id": msg.correlation_id,
    }
    known = {name: value for name, value in placed.items() if value is not None}
    return {**known, **attributes_of(headers)}


def _keyed(key: str | None) -> dict[str, Any]:
    # Without one, the event has what its class declares.
    return {} if key is None else {"key": key}


def _plain(body: Any) -> tuple[Any, str | None]:
    """Data for an event, and its content type where it is bytes as they came."""
    if is_model(body):
        # A model is of this process, and what is declared for the topic may be another class: the
        # event has what FastStream writes of it.
        return msgspec.json.decode(json_of(body.__class__.__qualname__, body)), None
    if not isinstance(body, bytes):
        return body, None
    if not body:
        return None, None
    try:
        return msgspec.json.decode(body), None
    except msgspec.DecodeError:
        return msgspec.Raw(body), "application/octet-stream"
