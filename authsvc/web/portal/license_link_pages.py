"""The pages to create, list and revoke links to the page of a license."""

from attrs import frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused
from authsvc.manage.license_links import LicenseLinks
from authsvc.manage.licenses import Licenses
from authsvc.manage.permissions import Permission
from authsvc.redaction import Secret
from authsvc.tenancy.license_link import DEFAULT_LINK_LIFE
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_pages import LICENSES
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import Route

_DONE = {"revoke": "The link opens nothing from now on. Files that were downloaded go on working."}


@frozen(eq=False, repr=False)
class LicenseLinkPages:
    """The pages of the links of one license.

    Attributes:
        licenses: shows the license.
        links: creates, lists and revokes them.
        public_url: of the installation.
    """

    licenses: Licenses
    links: LicenseLinks
    public_url: str

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        several = "/licenses/{license}/links"
        one = f"{several}/{{link}}/revoke"
        return (
            Route("GET", several, self.list, Permission.LICENSE_LINK_LIST),
            Route("POST", several, self.create, Permission.LICENSE_LINK_CREATE),
            Route("GET", one, self.ask_revoke, Permission.LICENSE_LINK_REVOKE),
            Route("POST", one, self.revoke, Permission.LICENSE_LINK_REVOKE),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the links that have not ended."""
        return await self._links(visit)

    async def create(self, visit: Visit) -> PortalAnswer:
        """Make a link and show it only this once."""
        day = visit.form.get("last_day", "").strip()
        try:
            _, secret = await self.links.create(
                visit.names["license"], visit.operation(), expires=end_after(day) if day else DEFAULT_LINK_LIFE
            )
        except (InputRefused, Conflict) as error:
            return await self._links(visit, error=error)
        return await self._links(visit, secret)

    async def ask_revoke(self, visit: Visit) -> PortalAnswer:
        """Show what revoking a link ends."""
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        found = await self.links.list(visit.actor, license_.id, visit.now)
        listed = next((one for one in found if one.link.id == visit.names["link"]), None)
        if listed is None:
            return RedirectAnswer(f"{LICENSES}/{license_.id}/links?done=revoke")
        return PageAnswer("license_link", {"license": license_, "listed": listed})

    async def revoke(self, visit: Visit) -> PortalAnswer:
        """Revoke a link."""
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        await self.links.revoke(license_.id, visit.operation(), link=visit.names["link"])
        return RedirectAnswer(f"{LICENSES}/{license_.id}/links?done=revoke")

    async def _links(
        self, visit: Visit, secret: Secret | None = None, *, error: AuthsvcError | None = None
    ) -> PageAnswer:
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        values = {
            "license": license_,
            "links": await self.links.list(visit.actor, license_.id, visit.now),
            "new": None if secret is None else f"{self.public_url}/c/{secret.reveal()}",
            "last_day": visit.form.get("last_day", "") if error is not None else "",
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("license_links", values, status_of(error))
