"""Pages that process every row of a file: a file is chosen, its effect is shown, and then it is carried out."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from attrs import evolve, frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused, NotFound, Overloaded
from authsvc.manage.license_files import LicenseFiles
from authsvc.manage.license_rows import RENEWAL_ROWS, RenewalRow
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit, status_of
from authsvc.web.portal.license_archive import MEDIA_TYPE, zipped
from authsvc.web.portal.route import PREFIX, Route
from authsvc.web.portal.row_upload import MAX_BODY, MAX_FILE, MAX_ROWS, SHOWN, RowPreview, RowUpload
from authsvc.web.row_deadline import end_in_time
from authsvc.web.stream_sender import StreamAnswer

CHANGED = "what the file would do has changed since it was shown; look at it again, and confirm"

FILES = "/licenses/import/files"
"""Address of the license files of the rows, below the prefix."""

REFUSED = (InputRefused, NotFound, Conflict)


class RowAction(Protocol):
    """The action on the rows of a file."""

    @property
    def path(self) -> str:
        """Address of the form, below the prefix."""
        ...

    @property
    def template(self) -> str:
        """Name of the page."""
        ...

    @property
    def effect(self) -> str:
        """Effect of the rows that change something."""
        ...

    @property
    def permission(self) -> Permission:
        """Permission that the member must have."""
        ...

    async def check(self, visit: Visit, upload: RowUpload) -> RowPreview:
        """Return the effect of the file.

        Raises:
            AuthsvcError: it cannot be determined.
        """
        ...

    async def carry_out(self, visit: Visit, preview: RowPreview, in_time: Callable[[int], None]) -> int:
        """Carry it out, and return how many licenses were made or changed.

        Args:
            visit: the request.
            preview: what was confirmed.
            in_time: called after each batch of rows; raises Overloaded when the time is over.
        """
        ...


@frozen(eq=False, repr=False)
class RowPages:
    """The pages of one such action.

    Attributes:
        use_cases: of the installation.
        action: on the rows.
    """

    use_cases: UseCases
    action: RowAction

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        path, permission = self.action.path, self.action.permission
        return (
            Route("GET", path, self.form, permission),
            Route("POST", path, self.send, permission, file_bytes=MAX_BODY),
        )

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the form in which a file is chosen."""
        return await self._page(visit, visit.query.get("app", ""))

    async def send(self, visit: Visit) -> PortalAnswer:
        """Show the effect of the file, or carry out what was shown."""
        try:
            upload = RowUpload.sent(visit)
            preview = await self.action.check(visit, upload)
        except REFUSED as error:
            return await self._page(visit, visit.form.get("app", ""), error=error)
        if visit.form.get("do") != "apply":
            return await self._page(visit, upload.app, preview)
        if preview.problems or visit.form.get("mark") != preview.mark:
            answer = await self._page(visit, upload.app, preview, error=Conflict(CHANGED, code="version_conflict"))
            return evolve(answer, status=HTTPStatus.CONFLICT)
        try:
            in_time = end_in_time(len(preview.having(self.action.effect)), asyncio.get_running_loop().time)
            done = await self.action.carry_out(visit, preview, in_time)
        except (*REFUSED, Overloaded) as error:
            return await self._stopped(visit, upload, error)
        return await self._page(visit, upload.app, preview, done=done)

    async def _stopped(self, visit: Visit, upload: RowUpload, error: AuthsvcError) -> PageAnswer:
        """Show the rows that are left when not all could be done at once."""
        try:
            rest = await self.action.check(visit, upload)
        except REFUSED as refused:
            return await self._page(visit, upload.app, error=refused)
        if not isinstance(error, Overloaded):
            return await self._page(visit, upload.app, rest, error=error)
        return await self._page(visit, upload.app, rest, is_stopped=True)

    async def _page(
        self,
        visit: Visit,
        app: str,
        preview: RowPreview | None = None,
        *,
        done: int | None = None,
        error: AuthsvcError | None = None,
        is_stopped: bool = False,
    ) -> PageAnswer:
        apps = (await self.use_cases.teams.apps(visit.actor, visit.user.member.team)).items
        if not apps:
            return PageAnswer("no_apps", status=status_of(error))
        values = {
            "action": f"{PREFIX}{self.action.path}",
            "files_path": f"{PREFIX}{FILES}",
            "apps": apps,
            "app": app,
            "preview": preview,
            "effect": self.action.effect,
            "done": done,
            "is_stopped": is_stopped,
            "limits": {"rows": MAX_ROWS, "kib": MAX_FILE // 1024, "shown": SHOWN},
            "error": None if error is None else str(error),
        }
        return PageAnswer(self.action.template, values, status_of(error), refusal=error)


@frozen(eq=False, repr=False)
class RowFilesPages:
    """The license files of all rows of a file, to be saved.

    Attributes:
        use_cases: of the installation.
    """

    use_cases: UseCases

    def routes(self) -> tuple[Route, ...]:
        """Return the address."""
        return (Route("POST", FILES, self.send, Permission.LICENSE_FILES, file_bytes=MAX_BODY),)

    async def send(self, visit: Visit) -> PortalAnswer:
        """Send them in a zip."""
        upload = RowUpload.sent(visit)
        app = await self.use_cases.teams.app(visit.actor, upload.app)
        references = [row.reference for row in upload.rows(RENEWAL_ROWS) if isinstance(row, RenewalRow)]
        found = LicenseFiles(self.use_cases.licenses, app).of_references(visit.actor, references)
        keys = await self.use_cases.licenses.verification_keys()
        return StreamAnswer(zipped(found, keys, visit.now), f"licenses-{app.slug}.zip", MEDIA_TYPE)
