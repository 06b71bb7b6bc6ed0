"""Links to the pages of licenses in Redis: by id, and by license. A record expires when its link ends."""

from collections.abc import Sequence
from math import ceil, inf, nextafter

from attrs import evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.license_link_keys import LICENSE_LINK, license_link, license_link_downloads, license_links
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.tenancy.license_link import DOWNLOAD_WINDOW, MAX_DOWNLOADS, MAX_LINK_LIFE, MAX_LINKS, LicenseLink
from authsvc.tenancy.records import License
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisLicenseLinks:
    """The links of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, link_id: str) -> Versioned[LicenseLink] | None:
        """Return the link with this id."""
        return await self.records.get(license_link(link_id), LicenseLink)

    async def of_license(self, license_id: str) -> list[Versioned[LicenseLink]]:
        """Return the links to the page of a license, those that end first at the top."""
        connection = self.records.connection
        ids = await connection.read(lambda: connection.redis.zrange(license_links(license_id), 0, -1))
        return await self.records.get_all((license_link(one.decode()) for one in ids), LicenseLink)

    async def add(self, link: LicenseLink, license_: Versioned[License], entry: Entry) -> None:
        """Store a new link.

        Raises:
            Conflict: the license was changed meanwhile, or has as many links as it may have.
        """
        change, of_license = self.records.change(entry, link.id), license_links(link.license)
        change.expect(keys.license_(link.license), license_.version, CHANGED_MEANWHILE)
        change.expect_fewer(
            of_license,
            MAX_LINKS,
            nextafter(link.created_at.timestamp(), inf),  # a link that ends now does not count
            f"the license {link.license} has {MAX_LINKS} links, which is the limit; take one back first",
            "license_links_too_many",
        )
        change.put(license_link(link.id), self.records.codec.encode(link), _seconds_left(link))
        change.add_to_order(of_license, link.expires_at.timestamp(), link.id)
        change.keep_newest(of_license, MAX_LINKS, LICENSE_LINK)  # the others have ended
        change.forget_after(of_license, int(MAX_LINK_LIFE.total_seconds()))
        await change.apply(self.records.connection)

    async def remove(self, links: Sequence[Versioned[LicenseLink]], entry: Entry) -> None:
        """Remove links to the page of one license; also when the memory of Redis is full."""
        change = self.records.change(entry, links[0].record.id)
        for link in links:
            change.remove(license_link(link.record.id))
            change.remove_from_order(license_links(link.record.license), link.record.id)
        change.ends_access = True
        await change.apply(self.records.connection)

    async def note_download(self, link: Versioned[LicenseLink], entry: Entry) -> None:
        """Record that the file was downloaded by a link.

        Raises:
            Conflict: it was taken back meanwhile, or the file was downloaded too often.
        """
        record, downloads = link.record, license_link_downloads(link.record.id)
        change = self.records.change(entry, record.id)
        change.expect(license_link(record.id), link.version, CHANGED_MEANWHILE)
        change.expect_fewer(
            downloads,
            MAX_DOWNLOADS,
            (entry.at - DOWNLOAD_WINDOW).timestamp(),
            f"the file was downloaded {MAX_DOWNLOADS} times within an hour by this link; try again later",
            "downloads_too_many",
        )
        changed = evolve(record, downloaded_at=entry.at)
        change.put(license_link(record.id), self.records.codec.encode_change(link.version, changed), keep_life=True)
        change.add_to_order(downloads, entry.at.timestamp(), entry.id)
        change.keep_newest(downloads, MAX_DOWNLOADS, keys.NONE)
        change.forget_after(downloads, int(DOWNLOAD_WINDOW.total_seconds()))
        await change.apply(self.records.connection)


def _seconds_left(link: LicenseLink) -> int:
    return max(1, ceil((link.expires_at - link.created_at).total_seconds()))
