"""An ASGI app with a BusBroker shows its document."""

from __future__ import annotations

from typing import Any

import pytest
from faststream.asgi import AsgiFastStream

from .started import Struct, broker_on

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_its_document_is_a_page_and_can_be_tried_out() -> None:
    httpx = pytest.importorskip("httpx")
    broker = broker_on()

    @broker.subscriber("tree.seen")
    async def handle(event: Struct) -> str:
        return event.name.upper()

    app = AsgiFastStream(broker, asyncapi_path="/docs", logger=None)
    transport: Any = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "tree.seen" in page.text
        tried = await client.post(
            "/docs/try",
            json={
                "channelName": "tree.seen:Handle",
                "message": {"message": {"name": "oak"}},
                "options": {"sendToRealBroker": False},
            },
        )
    assert (tried.status_code, tried.json()) == (200, "OAK")
