"""The pages to create, show, download, change and end a license."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from attrs import frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused, NotFound
from authsvc.manage.activity import Activity
from authsvc.manage.license_preview import LicensePreview
from authsvc.manage.licenses import Licenses
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.license_names import file_name
from authsvc.tenancy.records import LicenseType
from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.portal.answers import DownloadAnswer, PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import end_after, shown_state
from authsvc.web.portal.route import PREFIX, Route

LICENSES = f"{PREFIX}/licenses"

DEFAULT_LIFE = timedelta(days=365)

FIELDS = ("app", "customer", "reference", "type", "last_day", "repositories", "contact", "custom")
"""Fields of the form of a new license."""

_DONE = {
    "created": "The license was made. Download its file and give it to the customer.",
    "set": "The license was changed. Give the customer the new file if what it says matters to them.",
    "extend": "The license has another end. Files that the customer has stay valid; a new one shows the new end.",
    "revoke": "The license is revoked: from now on its pulls are refused.",
    "reinstate": "The license counts again.",
    "archive": "The license is archived: it is refused, and hidden from lists.",
    "rotate": "The license has a new registry token. Give the customer the new file.",
}


@frozen(eq=False, repr=False)
class LicensePages:
    """The pages of one license.

    Attributes:
        teams: lists the apps.
        licenses: makes and changes them.
        preview: lists the images that one would pull.
        activity: reads the activity of one.
    """

    teams: Teams
    licenses: Licenses
    preview: LicensePreview
    activity: Activity

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one = "/licenses/{license}"
        return (
            Route("GET", "/licenses/new", self.form, Permission.LICENSE_CREATE),
            Route("POST", "/licenses/new", self.create, Permission.LICENSE_CREATE),
            Route("GET", one, self.show, Permission.LICENSE_SHOW),
            Route("POST", f"{one}/file", self.download, Permission.LICENSE_DOWNLOAD),
            Route("POST", f"{one}/extend", self.extend, Permission.LICENSE_EXTEND),
            Route("GET", f"{one}/revoke", self.ask_revoke, Permission.LICENSE_REVOKE),
            Route("POST", f"{one}/revoke", self.revoke, Permission.LICENSE_REVOKE),
            Route("POST", f"{one}/reinstate", self.reinstate, Permission.LICENSE_REINSTATE),
            Route("GET", f"{one}/archive", self.ask_archive, Permission.LICENSE_ARCHIVE),
            Route("POST", f"{one}/archive", self.archive, Permission.LICENSE_ARCHIVE),
            Route("GET", f"{one}/rotate", self.ask_rotate, Permission.LICENSE_ROTATE),
            Route("POST", f"{one}/rotate", self.rotate, Permission.LICENSE_ROTATE),
        )

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the form of a new license."""
        end = (visit.now + DEFAULT_LIFE).date().isoformat()
        values = {name: visit.query.get(name, "") for name in FIELDS} | {"last_day": end, "type": "paid"}
        return await self._form(visit, values)

    async def create(self, visit: Visit) -> PortalAnswer:
        """Make the license, or show what it would pull."""
        values = {name: visit.form.get(name, "").strip() for name in FIELDS}
        patterns = values["repositories"].split() or None
        try:
            terms = LicenseTerms.parse(
                customer=values["customer"],
                expires=end_after(values["last_day"]),
                type_=values["type"],
                repositories=patterns,
                fields=[line.strip() for line in values["custom"].splitlines() if line.strip()],
                contact=values["contact"] or None,
                now=visit.now,
            )
            if visit.form.get("do") == "preview":
                page = await self.preview.images(visit.actor, values["app"], patterns)
                return await self._form(visit, values, preview=page)
            license_, _ = await self.licenses.create(
                values["app"], terms, visit.operation(), values["reference"] or None
            )
        except (InputRefused, Conflict, NotFound) as error:
            return await self._form(visit, values, error=error)
        return RedirectAnswer(f"{LICENSES}/{license_.id}?done=created")

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show everything about a license."""
        return await self._license(visit)

    async def download(self, visit: Visit) -> PortalAnswer:
        """Send the file."""
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        text = await self.licenses.download(visit.actor, license_.id)
        return DownloadAnswer(text, file_name(license_), "application/json")

    async def extend(self, visit: Visit) -> PortalAnswer:
        """Give it another end."""
        end = end_after(visit.form.get("last_day", "").strip())
        return await self._changed(visit, "extend", lambda name, op: self.licenses.extend(name, end, op))

    async def revoke(self, visit: Visit) -> PortalAnswer:
        """Refuse it from now on."""
        return await self._changed(visit, "revoke", self.licenses.revoke)

    async def reinstate(self, visit: Visit) -> PortalAnswer:
        """Undo revoking and archiving."""
        return await self._changed(visit, "reinstate", self.licenses.reinstate)

    async def archive(self, visit: Visit) -> PortalAnswer:
        """Refuse it, and hide it from lists."""
        return await self._changed(visit, "archive", self.licenses.archive)

    async def rotate(self, visit: Visit) -> PortalAnswer:
        """Give it a new registry token."""
        confirmed = visit.form.get("confirmed") or None
        try:
            overlap = parse_span(visit.form.get("overlap", "24h"), "overlap")
            license_, _ = await self.licenses.rotate(visit.names["license"], overlap, visit.operation(), confirmed)
        except ConfirmationNeeded as needed:
            return await self._ask(visit, "rotate", confirm=needed)
        except (InputRefused, Conflict) as error:
            return await self._ask(visit, "rotate", error=error)
        return RedirectAnswer(f"{LICENSES}/{license_.id}?done=rotate")

    async def ask_revoke(self, visit: Visit) -> PortalAnswer:
        """Say what revoking ends."""
        return await self._ask(visit, "revoke")

    async def ask_archive(self, visit: Visit) -> PortalAnswer:
        """Say what archiving ends."""
        return await self._ask(visit, "archive")

    async def ask_rotate(self, visit: Visit) -> PortalAnswer:
        """Say what rotating ends, and ask for the overlap."""
        return await self._ask(visit, "rotate")

    async def _changed(
        self, visit: Visit, what: str, change: Callable[[str, Operation], Awaitable[object]]
    ) -> PortalAnswer:
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        try:
            await change(license_.id, visit.operation())
        except (InputRefused, Conflict) as error:
            return await self._license(visit, error)
        return RedirectAnswer(f"{LICENSES}/{license_.id}?done={what}")

    async def _license(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        app = await self.teams.app(visit.actor, license_.app)
        values = {
            "license": license_,
            "state": shown_state(license_, visit.now),
            "ended": "app" if app.archived_at is not None else license_.state(visit.now),
            "summary": await self.activity.license(visit.actor, license_.id, visit.now),
            "file_name": file_name(license_),
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("license", values, status_of(error))

    async def _ask(
        self, visit: Visit, what: str, *, confirm: ConfirmationNeeded | None = None, error: AuthsvcError | None = None
    ) -> PageAnswer:
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        refused = confirm or error
        values = {
            "license": license_,
            "what": what,
            "summary": await self.activity.license(visit.actor, license_.id, visit.now),
            "confirm": confirm,
            "overlap": visit.form.get("overlap", "24h"),
            "error": None if error is None else str(error),
        }
        status = status_of(refused)
        return PageAnswer("license_change", values, status)

    async def _form(
        self, visit: Visit, values: dict[str, str], *, preview: object = None, error: AuthsvcError | None = None
    ) -> PageAnswer:
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        if not apps:
            return PageAnswer("no_apps", status=status_of(error))
        shown = {
            "apps": apps,
            "types": list(LicenseType),
            "fields": values,
            "preview": preview,
            "error": None if error is None else str(error),
            "problems": {one.field: one.detail for one in error.errors} if isinstance(error, InputRefused) else {},
        }
        return PageAnswer("license_new", shown, status_of(error))
