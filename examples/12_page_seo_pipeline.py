"""Page changed, analysed, sitemap updated: many edits, one sitemap.

A batch is handled when it is full or when its first event is so old: a burst of edits costs one
update, and a lone edit waits a moment at most. A batch has many causes: its handler publishes as a
child of the newest, and names the conversation of each.
"""

from __future__ import annotations

import anyio
import msgspec

from busway import Batch, Bus, Message, event


@event("page.changed", key="url")
class PageChanged(msgspec.Struct, frozen=True):
    url: str
    text: str


@event("page.analysed", key="url")
class PageAnalysed(msgspec.Struct, frozen=True):
    url: str
    title: str
    words: int


@event("sitemap.updated")
class SitemapUpdated(msgspec.Struct, frozen=True):
    urls: list[str]
    changes: list[str]  # the correlation ids of all changes in it


bus = Bus(service="seo")
sitemap: dict[str, str] = {}
updates: list[tuple[SitemapUpdated, str | None]] = []


@bus.subscribe(PageChanged, group="analyser", concurrency=4)
async def analyse(page: PageChanged, message: Message[PageChanged]) -> None:
    title, _, body = page.text.partition("\n")
    await message.publish(PageAnalysed(page.url, title, len(body.split())))


@bus.subscribe(PageAnalysed, group="sitemap", batch=Batch(100, within=0.5))
async def update_sitemap(pages: list[PageAnalysed], messages: list[Message[PageAnalysed]]) -> None:
    for page in pages:  # those of one page in their order: the last one stays
        sitemap[page.url] = page.title
    print(f"{len(pages)} changes, one update")
    urls = sorted({page.url for page in pages})
    changes = [message.correlation_id for message in messages]
    await messages[-1].publish(SitemapUpdated(urls, changes))


@bus.subscribe(SitemapUpdated, group="search")
async def tell_search_engines(update: SitemapUpdated, message: Message[SitemapUpdated]) -> None:
    print("please read again:", *update.urls)
    updates.append((update, message.correlation_id))


async def main() -> None:
    async with bus:
        sent = [
            await bus.publish(PageChanged(url, f"Title {edit}\nsome text of {url}"))
            for edit in range(10)
            for url in ("/", "/about", "/prices")
        ]
        await bus.drain()

    assert sitemap == {"/": "Title 9", "/about": "Title 9", "/prices": "Title 9"}
    [(update, correlation_id)] = updates
    assert update.urls == ["/", "/about", "/prices"]
    assert sorted(update.changes) == sorted(envelope.id for envelope in sent)
    assert correlation_id in update.changes


anyio.run(main)
