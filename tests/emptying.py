"""A Kafka as if nobody had been there, for programs that use the default prefix."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from tests.servers import KafkaServer

__all__ = ["emptied"]

PATIENCE = 30.0


def emptied(server: KafkaServer) -> KafkaServer:
    """The same, without topics but Kafka's own. What groups committed goes with them."""
    asyncio.run(_empty(server.servers))
    return server


async def _empty(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE):
            topics = await _topics(admin)
            if topics:
                await admin.delete_topics(topics)
            while await _topics(admin):
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def _topics(admin: AIOKafkaAdminClient) -> list[str]:
    return [name for name in await admin.list_topics() if not name.startswith("__")]
