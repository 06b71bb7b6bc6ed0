"""The page of a license, as the holder of a link sees it: without an account, and for one license only.

A link that is unknown, has ended, was revoked, or whose creator may no longer make it gets the same answer after the
same reads of the store.
"""

from datetime import datetime

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import PAGE_KIND, MachineSecret
from authsvc.errors import Conflict, NotFound
from authsvc.images.index import IndexedTag
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.idempotency import shows_secret
from authsvc.manage.license_images import covered_tags
from authsvc.manage.license_links import works
from authsvc.manage.licenses import Licenses
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.tenancy.license_link import LicenseLink
from authsvc.tenancy.pages import MAX_PAGE, Page
from authsvc.tenancy.patterns import PROXY
from authsvc.tenancy.records import App, License
from authsvc.tenancy.versioned import Versioned

VOID = "this link does not work: it has ended, was taken back or is not complete; ask your vendor for a new one"
"""The same sentence for every reason, so that guesses reveal nothing."""

GIVEN_IN = frozenset({"active", "pending"})
"""States in which the license file can be downloaded."""

MAX_LINKED = 20
"""Most linked registries that are looked up."""

ATTEMPTS = 3
"""How often recording a download is tried, while others are recorded concurrently."""

NO_DIGEST = "0" * 64
"""Digest that the secret of an unknown link is compared with."""


@frozen
class OpenedPage:
    """The license page that a link gives access to.

    Attributes:
        link: the record.
        license: that the page is about.
        app: of the license.
        vendor: name of the team.
        state: of the license in its app, now.
        linked: images of linked registries that it pulls: patterns that begin with the registry's name.
    """

    link: LicenseLink
    license: License
    app: App
    vendor: str
    state: str
    linked: tuple[str, ...] = ()

    @property
    def gives_file(self) -> bool:
        """Whether the license file can be downloaded."""
        return self.state in GIVEN_IN


@frozen(eq=False, repr=False)
class LicenseByLink:
    """Opens the pages of licenses. Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        licenses: makes the file.
    """

    stores: Stores
    licenses: Licenses

    @permitted(Permission.LICENSE_PAGE_OPEN)
    async def open(self, link: Secret, now: datetime) -> OpenedPage:
        """Return the page of a link.

        Raises:
            NotFound: the link is not valid; the same sentence for every reason.
        """
        page = (await self._opened(link, now))[1]
        return evolve(page, linked=await self._linked(page) if page.gives_file else ())

    @permitted(Permission.LICENSE_PAGE_IMAGES)
    async def images(self, page: OpenedPage, *, after: str | None = None, limit: int = MAX_PAGE) -> Page[IndexedTag]:
        """Return one page of the tags that the license can pull; it may be short even if there is a next one.

        For a license that is not active it is empty, so that its holder cannot see images that were pushed since.

        Raises:
            InputRefused: the cursor or the limit is not acceptable.
        """
        if not page.gives_file:
            return Page((), None)
        return await covered_tags(self.stores.images, page.app.slug, page.license.repositories, after, limit)

    @permitted(Permission.LICENSE_PAGE_CHECK)
    async def sign_in(self, page: OpenedPage) -> Secret:
        """Return the credentials for a preflight of images: the registry token of the license."""
        license_ = page.license
        return (await self.licenses.signer.derive_license_token(license_.id, license_.tokens[0].generation)).text

    @permitted(Permission.LICENSE_PAGE_DOWNLOAD)
    @shows_secret
    async def download(self, link: Secret, network: str, operation: Operation) -> tuple[License, str]:
        """Return the license and its file; an audit entry is written.

        Args:
            link: the secret.
            network: of the client.
            operation: the circumstances.

        Raises:
            NotFound: the link is not valid.
            Conflict: the license is not in force, the file was downloaded too often, or its token was derived under
                another license-token key than the one in the secrets directory.
        """
        for attempt in range(1, ATTEMPTS + 1):
            stored, page = await self._opened(link, operation.now)
            if not page.gives_file:
                raise Conflict(f"the license is {page.state}; there is no file for it", code="license_not_in_force")
            file = await self.licenses.file_of(Actor.operator(), page.license)
            facts = {"license": page.license.id, "app": page.app.slug, "team": page.app.team}
            entry = operation.entry("license-link.downloaded", **facts, link=page.link.id, network=network)
            entry = evolve(entry, actor=page.license.subject)  # there is no account: the license's holder is the actor
            try:
                await self.stores.license_links.note_download(stored, entry)
            except Conflict as error:
                if error.code != "version_conflict" or attempt == ATTEMPTS:
                    raise
            else:
                return page.license, file
        raise AssertionError("the last attempt returns or raises")

    async def _linked(self, page: OpenedPage) -> tuple[str, ...]:
        """Return the license's patterns of registries that are linked now."""
        begins = f"{PROXY}/"
        patterns = [one.removeprefix(begins) for one in page.license.repositories or () if one.startswith(begins)]
        names = sorted({one.partition("/")[0] for one in patterns})[:MAX_LINKED]
        there = {name for name in names if await self.stores.upstreams.find(page.app.slug, name) is not None}
        return tuple(one for one in patterns if one.partition("/")[0] in there)

    async def _opened(self, link: Secret, now: datetime) -> tuple[Versioned[LicenseLink], OpenedPage]:
        secret = MachineSecret.parse(link.reveal())
        if secret is None or secret.kind != PAGE_KIND:
            raise _void()
        stored = await self.stores.license_links.get(secret.id)
        right = secret.has_digest(NO_DIGEST if stored is None else stored.record.sha256)
        if stored is None or not right or not await works(self.stores, stored.record, now):
            raise _void()
        record = stored.record
        license_ = await self.stores.licenses.get(record.license)
        app = await self.stores.apps.get(record.app)
        team = await self.stores.teams.get(record.team)
        if license_ is None or app is None:
            raise _void()
        vendor = record.team if team is None else team.record.name
        state = license_.record.state_in(app.record, now)
        return stored, OpenedPage(record, license_.record, app.record, vendor, state)


def _void() -> NotFound:
    return NotFound(VOID, code="license_link_void", field="link")
