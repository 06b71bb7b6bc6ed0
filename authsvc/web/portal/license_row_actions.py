"""Importing licenses from a file, and giving many of them new ends."""

from collections.abc import Callable
from typing import ClassVar

from attrs import frozen

from authsvc.manage.checked_rows import CheckedRow
from authsvc.manage.license_import import LicenseImport
from authsvc.manage.license_rows import LICENSE_ROWS, RENEWAL_ROWS
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.portal.answers import Visit
from authsvc.web.portal.row_upload import RowPreview, RowUpload


@frozen(eq=False, repr=False)
class LicenseImportAction:
    """A license for each row of a file. A row that differs from its license is left out.

    Attributes:
        use_cases: what it calls.
    """

    use_cases: UseCases

    path: ClassVar[str] = "/licenses/import"
    template: ClassVar[str] = "license_import"
    effect: ClassVar[str] = "new"
    permission: ClassVar[Permission] = Permission.LICENSE_IMPORT

    async def check(self, visit: Visit, upload: RowUpload) -> RowPreview:
        """Return what the file would do."""
        found: list[CheckedRow] = []
        plan = await (await self._work(visit, upload)).check(
            visit.actor, upload.rows(LICENSE_ROWS), visit.now, found.append
        )
        return RowPreview(upload, plan.rows, found, plan.problems)

    async def carry_out(self, visit: Visit, preview: RowPreview, in_time: Callable[[int], None]) -> int:
        """Do it, and return how many licenses were made or changed."""
        upload = preview.upload
        outcome = await (await self._work(visit, upload)).carry_out(
            visit.actor,
            preview.left(self.effect, LICENSE_ROWS),
            upload.operations(visit, "import", preview.rows),
            in_time,
        )
        return outcome.created

    async def _work(self, visit: Visit, upload: RowUpload) -> LicenseImport:
        licenses = self.use_cases.licenses
        return LicenseImport(licenses, await licenses.open_app(visit.actor, upload.app))


@frozen(eq=False, repr=False)
class LicenseRenewalAction:
    """A new end for each license that a file names.

    Attributes:
        use_cases: what it calls.
    """

    use_cases: UseCases

    path: ClassVar[str] = "/licenses/renew"
    template: ClassVar[str] = "license_renew"
    effect: ClassVar[str] = "changed"
    permission: ClassVar[Permission] = Permission.LICENSE_RENEW

    async def check(self, visit: Visit, upload: RowUpload) -> RowPreview:
        """Return what the file would do."""
        found: list[CheckedRow] = []
        app = await self.use_cases.teams.app(visit.actor, upload.app)
        rows = upload.rows(RENEWAL_ROWS)
        plan = await self.use_cases.renewal(app).check(visit.actor, rows, visit.now, found.append)
        return RowPreview(upload, plan.rows, found, plan.problems)

    async def carry_out(self, visit: Visit, preview: RowPreview, in_time: Callable[[int], None]) -> int:
        """Do it, and return how many licenses were made or changed."""
        upload = preview.upload
        app = await self.use_cases.teams.app(visit.actor, upload.app)
        begin = upload.operations(visit, "renewal", preview.rows)
        outcome = await self.use_cases.renewal(app).carry_out(
            visit.actor, preview.left(self.effect, RENEWAL_ROWS), begin, in_time
        )
        return outcome.renewed
