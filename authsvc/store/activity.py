"""The activity as use cases read it: a facade for the modules that read it."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from authsvc.activity.activity_filter import ActivityFilter
from authsvc.activity.history import (
    AccountActivity,
    ActivityRow,
    AppDay,
    ImageHistory,
    ImagePull,
    LicenseDownloads,
    RunningLicenses,
)
from authsvc.activity.image_name import ImageName
from authsvc.store.activity_accounts import RedisActivityAccounts
from authsvc.store.activity_downloads import RedisDownloads
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_rows import RedisActivityRows
from authsvc.store.activity_running import RedisRunningLicenses
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page


@frozen(eq=False, repr=False)
class RedisActivity:
    """Reads the activity; :class:`authsvc.manage.stores.ActivityReader` documents each method.

    Attributes:
        records: of the installation.
    """

    records: Records

    @property
    def _images(self) -> RedisActivityImages:
        return RedisActivityImages(self.records.connection)

    @property
    def _rows(self) -> RedisActivityRows:
        return RedisActivityRows(self.records, self._images)

    @property
    def _accounts(self) -> RedisActivityAccounts:
        return RedisActivityAccounts(self.records, self._images, self._rows)

    async def rows(self, wanted: ActivityFilter, after: str | None, limit: int) -> Page[ActivityRow]:
        """Return one page of counts."""
        return await self._rows.page(wanted, after, limit)

    async def histories(self, images: Sequence[ImageName]) -> list[ImageHistory]:
        """Return the history of each image."""
        return await self._images.histories(images)

    async def pulls(
        self, image: ImageName, since: datetime, now: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[ImagePull]:
        """Return one page of the accounts that pulled an image."""
        return await self._images.pulls(image, since, now, after=after, limit=limit)

    async def running(self, app: str, images: Sequence[ImageName], since: datetime, now: datetime) -> RunningLicenses:
        """Return the licenses that pulled each of some images of an app."""
        return await RedisRunningLicenses(self._images).of(app, images, since, now)

    async def downloads(self, app: str, since: datetime, now: datetime) -> LicenseDownloads:
        """Return how much the licenses of an app downloaded."""
        return await RedisDownloads(self._images).of(app, since, now)

    async def accounts(self, wanted: Sequence[tuple[str, str]], now: datetime) -> list[AccountActivity | None]:
        """Return the activity of each account."""
        return await self._accounts.accounts(wanted, now)

    async def days(
        self, app: str, since: datetime, until: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[AppDay]:
        """Return one page of the days of an app."""
        return await self._accounts.days(app, since, until, after=after, limit=limit)

    async def tags(self, repository: str, *, after: str | None = None, limit: int = 100) -> Page[ImageHistory]:
        """Return one page of the tags of a repository."""
        return await self._accounts.tags(repository, after=after, limit=limit)
