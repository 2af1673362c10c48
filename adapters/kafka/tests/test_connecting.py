"""How connections are made."""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import Any

import anyio
import pytest
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from busway import TransportError
from busway_kafka import _connecting
from busway_kafka._client import Client
from busway_kafka._connecting import Connecting
from busway_kafka._security import Security
from busway_kafka._url import parse

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_certificates_are_read_when_a_client_first_connects_and_not_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, made_with = list[ssl.SSLContext](), list[object]()

    class Broken:
        """A connection that comes to nothing."""

        def __init__(self, *_: object, **options: Any) -> None:
            made_with.append(options["ssl_context"])

        async def connect(self) -> None:
            raise KafkaConnectionError("gone")

        def close(self) -> None:
            """There is nothing to close."""

    def made(security: Security) -> ssl.SSLContext:
        read.append(ssl.create_default_context())
        return read[-1]

    monkeypatch.setattr(Security, "_made", made)
    monkeypatch.setattr(_connecting._conn, "AIOKafkaConnection", Broken)
    client = Client(parse("kafka+ssl://h"))
    for _ in range(3):
        with pytest.raises(TransportError):
            await client.ask(None, None)
    assert made_with == read * 3
    await client.close()
    with pytest.raises(TransportError):
        await client.ask(None, None)
    assert len(read) == 2


async def test_a_broker_that_does_not_say_what_it_takes_is_not_kept() -> None:
    """Every request on such a connection would be refused before it is sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(12)
        # The number of the question, no error, and no versions.
        writer.write(struct.pack(">i", 10) + head[8:12] + struct.pack(">hi", 0, 0))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connecting = Connecting(parse(f"kafka://127.0.0.1:{port}"))
        with anyio.fail_after(5):
            with pytest.raises(TransportError, match="which requests it takes"):
                await connecting.dial("127.0.0.1", port)
            await connecting.closed()


async def test_a_connection_that_is_waited_for_no_more_is_closed_wherever_it_was(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it stands already, and is only asked whether it has been let in."""
    options = parse(kafka_url)
    connecting, made = Connecting(options), list[Any]()

    async def silent(connection: Any) -> None:
        made.append(connection)
        await anyio.sleep_forever()

    class Provider(AbstractTokenProvider):
        async def token(self) -> str:
            raise AssertionError("nobody asks")

    given = {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": Provider()}
    monkeypatch.setattr(connecting, "_security", lambda: given)
    monkeypatch.setattr(_connecting, "_see_that_it_is_let_in", silent)
    host, port = options.servers[0].split(":")
    asking = asyncio.create_task(connecting.dial(host, int(port)))
    with anyio.fail_after(5):
        while not made:
            await asyncio.sleep(0.01)
        assert made[0].connected()
        asking.cancel()
        await asyncio.wait([asking])
        assert not made[0].connected()
        await connecting.closed()
