"""Members in the management API: ``/members``."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from attrs import frozen
from msgspec import UNSET, Meta, UnsetType

from authsvc.errors import InputRefused
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import LINK_LIFE
from authsvc.tenancy.records import Member, Role
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import (
    AnyCall,
    Call,
    Endpoint,
    ListAnswer,
    NoBody,
    NoQuery,
    ObjectAnswer,
    found,
)
from authsvc.web.api.parameters import CONFIRM_ERRORS, PAGE_ERRORS, ConfirmQuery, PageQuery
from authsvc.web.api.schemas import Email, Instant, Slug

AppLimits = Annotated[tuple[Slug, ...], Meta(min_length=1)]
"""Slugs of the apps that a member is limited to. An empty list could mean no app or no limit, so it is refused."""


@frozen
class MemberView:
    """A member of the team.

    Attributes:
        id: never changes; a person who joins again gets another one.
        email: in lower case.
        team: slug of the vendor.
        role: of the member; it decides what the member may do.
        apps: slugs of the apps that the member is limited to; null for every app.
        created_at: when the member joined.
        disabled_at: since when the account is disabled, or null.
        removed_at: since when the person is no longer a member, or null.
        passkeys: how many passkeys the member can sign in to the portal with.
    """

    id: str
    email: str
    team: str
    role: Role
    apps: tuple[str, ...] | None
    created_at: Instant
    disabled_at: Instant | None
    removed_at: Instant | None
    passkeys: int


@frozen
class NewMember:
    """A person to be invited.

    Attributes:
        email: the person's address.
        role: of the member; it decides what the member may do.
        apps: slugs of the apps that the member is limited to, at least one; every app if left out or null.
    """

    email: Email
    role: Role
    apps: AppLimits | None = None


@frozen
class MemberChange:
    """A new role.

    Attributes:
        role: of the member; it decides what the member may do.
        apps: slugs of the apps that the member is limited to, at least one; null removes the limit, and it stays if
            left out.
    """

    role: Role
    apps: AppLimits | UnsetType | None = UNSET


@frozen
class OneTimeLinkView:
    """A link with which a person sets a password; it is shown only this once.

    Attributes:
        email: the person's address.
        link: the address to open; anyone who has it can use it.
        expires_at: when it stops working.
    """

    email: str
    link: Secret
    expires_at: Instant


async def _views(use_cases: UseCases, call: AnyCall, members: Sequence[Member]) -> tuple[MemberView, ...]:
    """Return members of the caller's team as the API shows them; their passkeys are counted in one read."""
    counts = await use_cases.passkeys.counts(call.actor, call.team, members)
    return tuple(_view(member, counts.get(member.id, 0)) for member in members)


async def _found(use_cases: UseCases, call: AnyCall, member: Member) -> ObjectAnswer:
    (view,) = await _views(use_cases, call, (member,))
    return found(member, view)


def _view(member: Member, passkeys: int) -> MemberView:
    return MemberView(
        id=member.id,
        email=member.email,
        team=member.team,
        role=member.role,
        apps=member.apps,
        created_at=member.created_at,
        disabled_at=member.disabled_at,
        removed_at=member.removed_at,
        passkeys=passkeys,
    )


def _limits(apps: AppLimits | None) -> AppLimits:
    """Return the limits in the form of the use cases: none for every app.

    Raises:
        InputRefused: a list has none.
    """
    if apps is not None and not apps:
        raise InputRefused(
            "apps names no app; name one at least, or send null for every app", code="value_missing", field="apps"
        )
    return apps or ()


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    page = await use_cases.members.list(call.actor, call.team, after=call.query.after, limit=call.query.limit)
    return ListAnswer(await _views(use_cases, call, page.items), page.next)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    member = await use_cases.members.show(call.actor, call.path["member"])
    return await _found(use_cases, call, member)


async def _invite(use_cases: UseCases, call: Call[NoQuery, NewMember]) -> ObjectAnswer:
    wanted = call.body
    link = await use_cases.links.invite(wanted.email, call.team, wanted.role, _limits(wanted.apps), call.operation)
    return ObjectAnswer(OneTimeLinkView(wanted.email, link, call.now + LINK_LIFE))


async def _change(use_cases: UseCases, call: Call[NoQuery, MemberChange]) -> ObjectAnswer:
    wanted = call.body
    apps = None if wanted.apps is UNSET else _limits(wanted.apps)
    member = await use_cases.members.set_role(call.path["member"], wanted.role, apps, call.operation)
    return await _found(use_cases, call, member)


async def _disable(use_cases: UseCases, call: Call[ConfirmQuery, NoBody]) -> ObjectAnswer:
    member = await use_cases.members.disable(call.path["member"], call.operation, call.query.confirm)
    return await _found(use_cases, call, member)


async def _enable(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    member = await use_cases.members.enable(call.path["member"], call.operation)
    return await _found(use_cases, call, member)


async def _remove(use_cases: UseCases, call: Call[ConfirmQuery, NoBody]) -> ObjectAnswer:
    await use_cases.members.remove(call.path["member"], call.operation, call.query.confirm)
    return ObjectAnswer()


async def _reset(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    link = await use_cases.links.reset(call.path["member"], call.operation)
    member = await use_cases.members.show(call.actor, call.path["member"])
    return ObjectAnswer(OneTimeLinkView(member.email, link, call.now + LINK_LIFE))


EXAMPLE = MemberView(
    id="8w2q6m1ztk4x9b3f",
    email="kim@vendor.com",
    team="acme",
    role=Role.DEVELOPER,
    apps=("myapp",),
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
    disabled_at=None,
    removed_at=None,
    passkeys=1,
)

LINK_EXAMPLE = OneTimeLinkView(
    "kim@vendor.com", Secret("asv_link_8w2q6m1ztk4x9b3f_…"), datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
)

ONE = ApiErrors(not_found=("member_not_found",), refused=("email_invalid",))
"""Errors of every endpoint that names a member."""

LIMITS = ApiErrors(not_found=("app_not_found",), refused=("slug_invalid", "slug_reserved", "value_missing"))
"""Errors of the apps that a member is limited to."""

LAST = ApiErrors(conflict=("last_owner",))

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/members", "listMembers", "List members, by address", Permission.MEMBER_LIST, _list, MemberView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/members", "inviteMember", "Invite a person to the team"),
        *(Permission.MEMBER_INVITE, _invite, OneTimeLinkView),
        errors=LIMITS | ApiErrors(refused=("email_invalid", "email_taken"), conflict=("links_too_many",)),
        request_example={"email": "kim@vendor.com", "role": "developer", "apps": ["myapp"]},
        answer_example=LINK_EXAMPLE,
        description=(
            "The answer has a one-time link with which the person sets a password and joins. A newer link for the "
            "same address replaces an older one."
        ),
    ),
    Endpoint(
        *("GET", "/members/{member}", "getMember", "Read a member", Permission.MEMBER_SHOW, _show, MemberView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/members/{member}", "changeMember", "Give a member another role"),
        *(Permission.MEMBER_SET_ROLE, _change, MemberView),
        has_etag=True,
        if_match=True,
        errors=ONE | LIMITS | LAST,
        request_example={"role": "viewer"},
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("DELETE", "/members/{member}", "removeMember", "Remove a member from the team"),
        *(Permission.MEMBER_REMOVE, _remove),
        status=HTTPStatus.NO_CONTENT,
        if_match=True,
        errors=ONE | LAST | CONFIRM_ERRORS,
        description="Every credential of the member ends, and so does every service account that the member created; "
        "if there is one, it has to be confirmed.",
    ),
    Endpoint(
        *("POST", "/members/{member}/disable", "disableMember", "Disable a member"),
        *(Permission.MEMBER_DISABLE, _disable, MemberView),
        has_etag=True,
        if_match=True,
        errors=ONE | LAST | CONFIRM_ERRORS,
        answer_example=EXAMPLE,
        description="The account, its tokens and the service accounts that the member created are refused from now on; "
        "if there is such an account, it has to be confirmed.",
    ),
    Endpoint(
        *("POST", "/members/{member}/enable", "enableMember", "Enable a member"),
        *(Permission.MEMBER_ENABLE, _enable, MemberView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/members/{member}/reset", "resetMember", "Let a member set a new password"),
        *(Permission.MEMBER_RESET, _reset, OneTimeLinkView),
        errors=ONE | ApiErrors(conflict=("links_too_many",)),
        answer_example=LINK_EXAMPLE,
        description="The answer has a one-time link with which the member sets a new password.",
    ),
)
