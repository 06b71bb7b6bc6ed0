"""One-time links by which people set a password, in the management API: ``/member-links``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen

from authsvc.manage.links import OpenLink
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.machine_records import MAX_TEAM_LINKS, LinkPurpose
from authsvc.tenancy.records import Role
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer
from authsvc.web.api.schemas import Instant


@frozen
class MemberLinkView:
    """An unused one-time link; its secret was shown only when it was created.

    Attributes:
        id: never changes.
        purpose: `invite`, to join the team, or `reset`, to set a new password.
        email: address of the invited person or the member.
        role: of that person.
        apps: slugs of the apps that the person is limited to; null for every app.
        created_at: when it was created.
        created_by: id of the member who created it; null for the operator.
        expires_at: the first instant at which it no longer works.
        works: whether it can be used now; it cannot while its creator lacks the right to create it, nor after a change
            of the member whose password it sets.
    """

    id: str
    purpose: LinkPurpose
    email: str
    role: Role
    apps: tuple[str, ...] | None
    created_at: Instant
    created_by: str | None
    expires_at: Instant
    works: bool


def _view(listed: OpenLink) -> MemberLinkView:
    link = listed.link
    return MemberLinkView(
        id=link.id,
        purpose=link.purpose,
        email=link.email,
        role=link.role,
        apps=link.apps,
        created_at=link.created_at,
        created_by=link.creator,
        expires_at=link.expires_at,
        works=listed.works,
    )


async def _list(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ListAnswer:
    return ListAnswer(tuple(map(_view, await use_cases.links.list(call.actor, call.team, call.now))), None)


async def _revoke(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    await use_cases.links.revoke(call.path["member_link"], call.team, call.operation)
    return ObjectAnswer()


EXAMPLE = MemberLinkView(
    id="6t2n8q4xzk1w9b3f",
    purpose=LinkPurpose.INVITE,
    email="kim@vendor.com",
    role=Role.DEVELOPER,
    apps=("myapp",),
    created_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    created_by="8w2q6m1ztk4x9b3f",
    expires_at=datetime(2026, 11, 30, 9, 30, tzinfo=UTC),
    works=True,
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/member-links", "listMemberLinks", "List the open one-time links of the team"),
        *(Permission.LINK_LIST, _list, MemberLinkView),
        is_list=True,
        answer_example=EXAMPLE,
        description="Those of invitations and of new passwords that were neither used nor taken back and have not "
        f"ended, {MAX_TEAM_LINKS} at most; those that end first at the top.",
    ),
    Endpoint(
        *("DELETE", "/member-links/{member_link}", "revokeMemberLink", "Take back a one-time link"),
        *(Permission.LINK_REVOKE, _revoke),
        status=HTTPStatus.NO_CONTENT,
        errors=ApiErrors(not_found=("link_not_found",), conflict=("link_void",)),
        description="By its id, or by the address of the person for whom it was created. It stops working at once.",
    ),
)
