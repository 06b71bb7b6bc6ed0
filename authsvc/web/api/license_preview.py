"""The preview of a license in the management API: ``/licenses/preview``."""

from attrs import frozen

from authsvc.images.index import IndexedTag
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Slug


@frozen
class LicensePreviewBody:
    """The parts of a planned license that decide what it can pull.

    Attributes:
        app: slug of the app.
        repositories: patterns relative to the app; null for the whole app, an empty list for no repositories.
    """

    app: Slug
    repositories: tuple[str, ...] | None = None


@frozen
class ImagePreviewView:
    """A tag that the license would pull.

    Attributes:
        repository: full name.
        tag: its tag.
        digest: of the manifest or index.
    """

    repository: str
    tag: str
    digest: str


def _view(tag: IndexedTag) -> ImagePreviewView:
    return ImagePreviewView(tag.repository, tag.tag, tag.digest)


async def _preview(use_cases: UseCases, call: Call[PageQuery, LicensePreviewBody]) -> ListAnswer:
    query, wanted = call.query, call.body
    page = await use_cases.license_preview.images(
        call.actor, wanted.app, wanted.repositories, after=query.after, limit=query.limit
    )
    return ListAnswer(tuple(map(_view, page.items)), page.next)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("POST", "/licenses/preview", "previewLicense", "List what a license would pull"),
        *(Permission.LICENSE_PREVIEW_IMAGES, _preview, ImagePreviewView),
        is_list=True,
        is_repeatable=False,
        errors=PAGE_ERRORS
        | ApiErrors(
            not_found=("app_not_found",),
            refused=("slug_invalid", "slug_reserved", "pattern_invalid", "patterns_too_many"),
        ),
        request_example={"app": "myapp", "repositories": ["worker", "api/*"]},
        answer_example=ImagePreviewView("myapp/worker", "1.2", f"sha256:{'4f' * 32}"),
        description=(
            "Nothing is changed. The tags are those that are in the registry now; a license can also pull what is "
            "pushed later. For the next page, send the same body. Images of linked registries are not listed."
        ),
    ),
)
