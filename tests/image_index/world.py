"""An index of images between a real registry and a real Redis, with two teams."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from attrs import define, field

from authsvc.audit.entry import Entry
from authsvc.image_index.change_reader import ChangeReader
from authsvc.image_index.counter import ImageCounter
from authsvc.image_index.crawler import Crawler
from authsvc.image_index.pace import Pace
from authsvc.image_index.refresher import ImageRefresher
from authsvc.image_index.repository_update import RepositoryUpdate, TagObserver
from authsvc.images.index import AppImages, CrawlState, ImageScope, IndexedTag
from authsvc.logs import make_logger
from authsvc.registries.image_reader import ImageReader
from authsvc.registries.reader import RegistryReader
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.images import RedisImages
from authsvc.store.records import Records
from authsvc.tenancy.records import App, Team
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW
from tests.support.oci import Image
from tests.support.real_registry import RealRegistry
from tests.support.registry_content import Content

TEAMS: Mapping[str, tuple[str, ...]] = {"acme-team": ("acme", "annex"), "globex-team": ("globex",)}
"""Teams with their apps."""


def size_of(*images: Image) -> int:
    """Return the bytes of images that share no blob."""
    return sum(len(image.config) + len(image.layer) for image in images)


@define
class World:
    """Everything.

    Attributes:
        connection: to Redis.
        content: fills the registry.
        reader: reads it.
        now: the present.
        observer: learns what crawls find.
    """

    connection: Connection
    content: Content
    reader: RegistryReader
    now: datetime = NOW
    observer: TagObserver | None = None
    records: Records = field(init=False)

    @records.default
    def _records(self) -> Records:
        return Records(self.connection, Codec())

    async def build(self) -> None:
        """Create the teams and apps."""
        stores, entry = make_stores(self.records), partial(Entry, at=NOW, event="test.done", actor="system:authsvc")
        for team, apps in TEAMS.items():
            await stores.teams.add(Team(team, team, NOW), entry(f"op-{team}"))
            for app in apps:
                await stores.apps.add(App(app, team, app, NOW), entry(f"op-{app}"))

    @property
    def index(self) -> RedisImageIndex:
        """What writes the index."""
        return RedisImageIndex(self.connection, Codec())

    @property
    def images(self) -> RedisImages:
        """What reads it."""
        return RedisImages(self.records)

    @property
    def state(self) -> RedisImageCrawl:
        """The state of crawls."""
        return RedisImageCrawl(self.records)

    @property
    def update(self) -> RepositoryUpdate:
        """What compares a repository."""
        return RepositoryUpdate(self.index, ImageReader(self.reader), self.clock, observer=self.observer)

    @property
    def crawler(self) -> Crawler:
        """What crawls."""
        return Crawler(self.state, self.images, self.update, self.clock, make_logger("error"))

    def clock(self) -> datetime:
        """Return the present."""
        return self.now

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def refresher(self, holder: str = "worker-1") -> ImageRefresher:
        """Return the background task of a worker."""
        logger = make_logger("error")
        changes = ChangeReader(self.index, self.state, self.update, logger)
        counter = ImageCounter(self.state, self.clock, Pace())
        return ImageRefresher(self.index, self.state, changes, self.crawler, counter, holder, self.clock, logger)

    async def crawl(self) -> CrawlState:
        """Make a whole crawl, and add every app up."""
        state = await self.crawler.run()
        await self.count()
        return state

    async def count(self) -> None:
        """Add up what has changed."""
        while app := await self.state.take_uncounted():
            await ImageCounter(self.state, self.clock, Pace()).count(app)

    async def sum(self, app: str) -> AppImages:
        """Return what the images of an app add up to."""
        found = await self.images.app(app)
        assert found is not None
        return found

    async def listed(self, team: str | None = None, limit: int = 100, **scope: object) -> list[IndexedTag]:
        """Return every tag of a scope, read in pages."""
        chosen, found, after = ImageScope(team, **scope), list[IndexedTag](), None  # type: ignore[arg-type]
        while True:
            page = await self.images.page(chosen, after, limit)
            assert len(page.items) <= limit
            found += page.items
            after = page.next
            if after is None:
                return found

    async def only(self, repository: str, tag: str) -> IndexedTag:
        """Return a tag of the index."""
        found = await self.images.tag(repository, tag)
        assert found is not None
        return found

    async def names(self, **scope: object) -> list[str]:
        """Return every tag with its repository."""
        return [f"{one.repository}:{one.tag}" for one in await self.listed(**scope)]  # type: ignore[arg-type]


@asynccontextmanager
async def world_between(connection: Connection, registry: RealRegistry) -> AsyncIterator[World]:
    """Yield the world."""
    content = Content(registry)
    async with content.reader() as reader:
        made = World(connection, content, reader)
        await made.build()
        yield made
