"""The files of many licenses, by their references."""

from collections.abc import AsyncIterator, Iterable

from attrs import frozen

from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.licenses import Licenses
from authsvc.manage.lookup import require_app
from authsvc.manage.permissions import Permission
from authsvc.manage.row_batches import batches
from authsvc.tenancy.records import App, License


@frozen(eq=False, repr=False)
class LicenseFiles:
    """Makes the files of licenses of one app, which may be archived.

    Attributes:
        licenses: the use cases of single licenses.
        app: as looked up for the actor.
    """

    licenses: Licenses
    app: App

    @permitted(Permission.LICENSE_FILES)
    async def of_references(self, actor: Actor, references: Iterable[str]) -> AsyncIterator[list[tuple[License, str]]]:
        """Yield licenses with their files, a batch at a time; references without a license yield nothing.

        Raises:
            NotFound: there is no such app for the actor.
            Conflict: a token was derived under another license-token key than the one in the secrets directory.
            StoreUnavailable: the store does not answer.
        """
        require_app(actor, self.app)
        for batch in batches(references):
            known = await self.licenses.stores.licenses.by_references(self.app.slug, batch)
            found = [one[1] for one in known if one is not None]
            yield [(license_, await self.licenses.file_of(actor, license_)) for license_ in found]
