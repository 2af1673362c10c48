"""How connections are made."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from busway import TransportError
from busway_kafka import _connecting
from busway_kafka._client import Client
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

        def connected(self) -> bool:
            return False

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
