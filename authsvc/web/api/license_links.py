"""Links to the pages of licenses in the management API: ``/licenses/{license}/links``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen

from authsvc.manage.license_links import ListedLink
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.license_link import DEFAULT_LINK_LIFE, MAX_LINK_LIFE, MAX_LINKS
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, ObjectAnswer
from authsvc.web.api.license_endpoints import ONE
from authsvc.web.api.licenses import LicenseQuery
from authsvc.web.api.schemas import Instant, When


@frozen
class LicenseLinkView:
    """A link to the page of a license; its secret is never shown.

    Attributes:
        id: never changes.
        license: id of the license.
        created_at: when it was created.
        created_by: subject of its creator.
        expires_at: the first instant at which it no longer works.
        downloaded_at: when the license file was last downloaded through it, or null.
        works: whether it opens the page now; it does not while its creator lacks the right to create it.
    """

    id: str
    license: str
    created_at: Instant
    created_by: str
    expires_at: Instant
    downloaded_at: Instant | None
    works: bool


@frozen
class NewLicenseLink:
    """A link to be created.

    Attributes:
        expires: `2027-01-31` (00:00 UTC at its start), `2027-01-31T12:00:00Z`, or `30d` from now.
    """

    expires: When = DEFAULT_LINK_LIFE


@frozen
class LicenseLinkSecret:
    """A new link to the page of a license, which is shown only this once.

    Attributes:
        id: of the link.
        license: id of the license.
        expires_at: the first instant at which it no longer works.
        path: of the page, on this host; anyone who has it can download the license file.
    """

    id: str
    license: str
    expires_at: Instant
    path: Secret


def _view(listed: ListedLink) -> LicenseLinkView:
    link = listed.link
    return LicenseLinkView(
        id=link.id,
        license=link.license,
        created_at=link.created_at,
        created_by=link.creator,
        expires_at=link.expires_at,
        downloaded_at=link.downloaded_at,
        works=listed.works,
    )


async def _list(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ListAnswer:
    found = await use_cases.license_links.list(call.actor, call.path["license"], call.now, call.query.app)
    return ListAnswer(tuple(map(_view, found)), None)


async def _create(use_cases: UseCases, call: Call[LicenseQuery, NewLicenseLink]) -> ObjectAnswer:
    link, secret = await use_cases.license_links.create(
        call.path["license"], call.operation, expires=call.body.expires, app=call.query.app
    )
    path = Secret(f"/c/{secret.reveal()}")
    return ObjectAnswer(LicenseLinkSecret(link.id, link.license, link.expires_at, path))


async def _revoke(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    await use_cases.license_links.revoke(
        call.path["license"], call.operation, link=call.path["link"], app=call.query.app
    )
    return ObjectAnswer()


EXAMPLE = LicenseLinkView(
    id="6t2n8q4xzk1w9b3f",
    license="5f3k9q2mzt7w8x1a",
    created_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    created_by="member:8w2q6m1ztk4x9b3f",
    expires_at=datetime(2026, 12, 27, 9, 30, tzinfo=UTC),
    downloaded_at=None,
    works=True,
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/licenses/{license}/links", "listLicenseLinks", "List the links to the page of a license"),
        *(Permission.LICENSE_LINK_LIST, _list, LicenseLinkView),
        is_list=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description=f"Those that have not ended, {MAX_LINKS} at most; those that end first at the top.",
    ),
    Endpoint(
        *("POST", "/licenses/{license}/links", "createLicenseLink", "Make a link to the page of a license"),
        *(Permission.LICENSE_LINK_CREATE, _create, LicenseLinkSecret),
        status=HTTPStatus.CREATED,
        errors=ONE
        | ApiErrors(
            refused=("date_invalid", "date_not_in_future", "period_invalid"),
            conflict=("license_links_too_many", "version_conflict"),
        ),
        request_example={"expires": "30d"},
        answer_example=LicenseLinkSecret(EXAMPLE.id, EXAMPLE.license, EXAMPLE.expires_at, Secret("/c/asv_page_…")),
        description="The link is shown this once. Whoever has it can download the license file, see what the license "
        f"pulls, and needs no account. It ends after {MAX_LINK_LIFE.days} days at the latest.",
    ),
    Endpoint(
        *("DELETE", "/licenses/{license}/links/{link}", "revokeLicenseLink", "Take back a link"),
        *(Permission.LICENSE_LINK_REVOKE, _revoke),
        status=HTTPStatus.NO_CONTENT,
        errors=ONE | ApiErrors(not_found=("license_link_not_found",)),
        description="It stops working at once. License files that were downloaded continue to work.",
    ),
)
