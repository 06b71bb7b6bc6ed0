"""Deletion of images in the portal: a page that says what it affects, and a form that confirms exactly that."""

from http import HTTPStatus

from attrs import evolve, frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused, RegistryUnavailable
from authsvc.manage.ended_images import LATELY, MAX_NAMED, DeletionPreview
from authsvc.manage.image_deletions import ImageDeletions
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.image_pages import IMAGES
from authsvc.web.portal.route import Route

PATH = "/images/{name:.+}/-/delete"
"""No repository, tag or digest has ``/-/`` in its name."""

CHANGED = "the image, or who uses it, has changed since you looked at this page; this is how it is now"

RETYPE = "type the repository's name exactly as it is shown, to confirm that it is this one"


@frozen(eq=False, repr=False)
class ImageDeletionPages:
    """The pages on which images are deleted.

    Attributes:
        deletions: previews and deletes.
    """

    deletions: ImageDeletions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses; they come before those of images, which take any name."""
        return (
            Route("GET", PATH, self.ask, Permission.IMAGE_PREVIEW_DELETION, asks_others=True),
            Route("POST", PATH, self.delete, Permission.IMAGE_DELETE, asks_others=True),
        )

    async def ask(self, visit: Visit) -> PortalAnswer:
        """Say what deleting the image affects."""
        return await self._ask(visit)

    async def delete(self, visit: Visit) -> PortalAnswer:
        """Delete it, if it is still what the person has seen and confirmed."""
        name, mark = visit.names["name"], visit.form.get("confirmed") or None
        repository = name.partition("@")[0].rpartition(":")[0] or name.partition("@")[0]
        if mark is not None and visit.form.get("repository", "").strip() != repository:
            return await self._ask(visit, InputRefused(RETYPE, code="confirmation_needed", field="repository"))
        try:
            deleted = await self.deletions.delete(name, _as_seen(visit), mark)
        except ConfirmationNeeded as needed:
            return await self._ask(visit, Conflict(CHANGED, code="confirmation_needed"), refusal=needed)
        except Conflict as error:
            return await self._ask(visit, error)
        except RegistryUnavailable as error:
            return await self._ask(visit, error)
        done = "kept" if deleted.pushed_again or deleted.restored else "deleted"
        return RedirectAnswer(f"{IMAGES}?app={deleted.repository.partition('/')[0]}&done={done}")

    async def _ask(
        self, visit: Visit, error: AuthsvcError | None = None, *, refusal: AuthsvcError | None = None
    ) -> PageAnswer:
        preview: DeletionPreview | None = None
        try:
            preview = await self.deletions.preview(visit.names["name"], visit.operation())
        except (Conflict, RegistryUnavailable) as refused:
            error = error or refused
        values = {
            "name": visit.names["name"],
            "preview": preview,
            "days": LATELY.days,
            "most": MAX_NAMED,
            "error": None if error is None else str(error),
        }
        status = HTTPStatus.OK if error is None else status_of(error)
        return PageAnswer("image_delete", values, status, refusal=refusal or error)


def _as_seen(visit: Visit) -> Operation:
    """Return a change of what the page has shown: of the digest in the form, when it has one."""
    digest = visit.form.get("digest") or None
    operation = visit.operation()
    return operation if digest is None else evolve(operation, if_match=(f'"{digest}"',))
