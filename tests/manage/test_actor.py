"""Actors made from records: what each may do, why not, and what it sees. Without a store."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from authsvc.errors import PermissionDenied
from authsvc.manage.actor import OPERATOR, Actor, Person
from authsvc.manage.authorization import permission_of, permitted
from authsvc.manage.permissions import AccessLevel, Permission, PermissionScope
from authsvc.tenancy.machine_records import ApiAccess, Grant
from authsvc.tenancy.records import Role
from tests.support.builders import NOW, make_member, make_personal_token, make_service_account

MANAGE = ApiAccess.MANAGE
VIEWER = "me@acme.test is a viewer and may not create a license; owners and developers may"


def denial(actor: Actor, permission: Permission) -> str:
    """Return the sentence with which an actor is denied."""
    with pytest.raises(PermissionDenied) as denied:
        actor.require(permission)
    assert denied.value.code == "permission_denied"
    return str(denied.value)


def test_the_operator_may_everything_and_sees_everything() -> None:
    """Also on behalf of a person, which changes the audit and no right."""
    operator = Actor.operator(on_behalf_of=Person("m1", "me@acme.test", "acme-team"))

    assert all(operator.may(permission) for permission in Permission)
    assert operator.sees("any-team", "any-app")
    assert (operator.subject, operator.member_id) == (OPERATOR, None)


def test_subjects_are_those_of_tokens() -> None:
    """The audit names an actor as the registry's events do."""
    member, account = make_member(), make_service_account()

    assert Actor.of_member(member).subject == member.subject
    assert Actor.of_personal_token(make_personal_token(), member, NOW).subject == member.subject
    assert Actor.of_service_account(account, None, NOW).subject == account.subject


@pytest.mark.parametrize(
    ("actor", "permission", "sentence"),
    [
        (
            Actor.of_member(make_member(Role.VIEWER)),
            Permission.LICENSE_CREATE,
            VIEWER,
        ),
        (
            Actor.of_member(make_member(Role.DEVELOPER)),
            Permission.MEMBER_ADD,
            "me@acme.test is a developer and may not add a member; owners may",
        ),
        (
            Actor.of_member(make_member()),
            Permission.KEYS_ROTATE,
            "me@acme.test may not rotate the signing certificates; only the operator of the installation may",
        ),
        (
            Actor.of_member(make_member(apps=("acme", "annex"))),
            Permission.AUDIT_LIST,
            "me@acme.test is limited to acme, annex; to list the audit takes access to the whole team",
        ),
        (
            Actor.of_personal_token(make_personal_token(api=ApiAccess.READ), make_member(), NOW),
            Permission.LICENSE_CREATE,
            "this token may only read; to create a license takes a token with the API access 'manage'",
        ),
        (
            Actor.of_personal_token(make_personal_token(), make_member(), NOW),
            Permission.APP_LIST,
            "this token is for the registry only; to list apps takes a token with API access",
        ),
        (
            Actor.of_personal_token(make_personal_token(api=MANAGE), make_member(), NOW),
            Permission.MEMBER_SET_PASSWORD,
            "a token may not set a password; me@acme.test has to sign in in person",
        ),
        (
            Actor.of_member(make_member(disabled_at=NOW)),
            Permission.APP_LIST,
            "me@acme.test is disabled; ask an owner of acme-team",
        ),
        (
            Actor.of_service_account(make_service_account(api=MANAGE), None, NOW),
            Permission.MEMBER_LIST,
            "the service account deployer may not list the team's members; members may",
        ),
        (
            Actor.of_service_account(
                make_service_account(api=MANAGE, creator=make_member().id), make_member(Role.VIEWER), NOW
            ),
            Permission.LICENSE_CREATE,
            "the service account deployer has no more rights than the member who created it: " + VIEWER,
        ),
    ],
)
def test_a_denial_says_what_is_missing_and_who_may(actor: Actor, permission: Permission, sentence: str) -> None:
    """One sentence, without a command that only the operator has."""
    assert denial(actor, permission) == sentence
    assert not actor.may(permission)


@pytest.mark.parametrize(
    "actor",
    [
        Actor.of_member(make_member(disabled_at=NOW)),
        Actor.of_member(make_member(removed_at=NOW)),
        Actor.of_personal_token(make_personal_token(api=MANAGE, revoked_at=NOW), make_member(), NOW),
        Actor.of_personal_token(make_personal_token(api=MANAGE, expires_at=NOW), make_member(), NOW),
        Actor.of_personal_token(make_personal_token(api=MANAGE), make_member(disabled_at=NOW), NOW),
        Actor.of_personal_token(make_personal_token(api=MANAGE, member="m2"), make_member(), NOW),
        Actor.of_service_account(make_service_account(api=MANAGE, disabled_at=NOW), None, NOW),
        Actor.of_service_account(make_service_account(api=MANAGE, revoked_at=NOW), None, NOW),
        Actor.of_service_account(make_service_account(api=MANAGE, expires_at=NOW), None, NOW),
        Actor.of_service_account(
            make_service_account(api=MANAGE, creator=make_member().id), make_member(removed_at=NOW), NOW
        ),
        Actor.of_service_account(
            make_service_account(api=MANAGE, creator=make_member().id), make_member(disabled_at=NOW), NOW
        ),
        Actor.of_service_account(make_service_account(api=MANAGE, creator="m2"), make_member(), NOW),
        Actor.of_service_account(make_service_account(api=MANAGE, creator=make_member().id), None, NOW),
        Actor.of_service_account(
            make_service_account(api=MANAGE, creator=make_member().id), make_member(team="globex-team"), NOW
        ),
    ],
)
def test_an_account_that_has_ended_may_do_nothing(actor: Actor) -> None:
    """Whatever ended it: its own record, its token's, or that of the member who created it."""
    public = {p for p in Permission if p.rule.scope is PermissionScope.PUBLIC}

    assert {permission for permission in Permission if actor.may(permission)} == public


def test_a_service_account_sees_what_its_creator_sees() -> None:
    """A creator who has been limited since limits the account, whatever its grants say."""
    account = make_service_account(Grant("annex", "**", ("pull",)), api=MANAGE, creator=make_member().id)
    actor = Actor.of_service_account(account, make_member(apps=("acme",)), NOW + timedelta(days=1))

    assert actor.may(Permission.LICENSE_CREATE)
    assert actor.sees("acme-team", "acme")
    assert not actor.sees("acme-team", "annex")
    assert not actor.sees("globex-team", "acme")


def test_a_service_account_creates_nothing_with_rights_of_its_own() -> None:
    """Otherwise nobody's rights would bound what it made."""
    with pytest.raises(PermissionDenied):
        _ = Actor.of_service_account(make_service_account(api=MANAGE), None, NOW).member_id


@pytest.mark.parametrize("email", ["other@acme.test", "other@globex.test", "nobody@acme.test"])
def test_ones_own_account_is_ones_own(email: str) -> None:
    """The address alone decides: nothing is looked up, so the answer is the same for all others."""
    member = Actor.of_member(make_member())
    member.require_self("me@acme.test", Permission.TOKEN_LIST)
    Actor.operator().require_self(email, Permission.TOKEN_LIST)

    with pytest.raises(PermissionDenied, match=r"for me@acme\.test only"):
        member.require_self(email, Permission.TOKEN_LIST)


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_every_change_takes_more_than_read_access() -> None:
    """What a token with read access may do is named with a word for reading, so that no change slips in."""
    reading = ("list", "see", "follow", "export", "preview", "check", "have", "read")
    for permission in Permission:
        rule = permission.rule
        if rule.scope not in {PermissionScope.PUBLIC, PermissionScope.OPERATOR}:
            assert (rule.access is AccessLevel.READ) == rule.action.startswith(reading), permission


# --- the decorator ----------------------------------------------------------------------------------------------------


class UseCases:
    """Two use cases that note when they run."""

    ran: list[str]

    def __init__(self) -> None:
        """Nothing has run."""
        self.ran = []

    @permitted(Permission.LICENSE_CREATE)
    async def create(self, name: str, actor: Actor) -> str:
        """Run."""
        self.ran.append(f"{name} for {actor.name}")
        return name


@pytest.mark.parametrize("call", [lambda u, a: u.create("x", a), lambda u, a: u.create("x", actor=a)])
async def test_a_use_case_is_checked_before_its_first_line(call: Callable[..., object]) -> None:
    """However the actor is passed: a viewer is denied at the call, and nothing runs."""
    use_cases = UseCases()
    with pytest.raises(PermissionDenied):
        call(use_cases, Actor.of_member(make_member(Role.VIEWER)))
    assert use_cases.ran == []

    assert await use_cases.create("y", Actor.of_member(make_member(Role.DEVELOPER))) == "y"
    assert permission_of(use_cases.create) is Permission.LICENSE_CREATE


def test_a_use_case_without_an_actor_cannot_be_marked() -> None:
    """Only what is public needs nobody."""
    with pytest.raises(TypeError, match="neither an actor nor an operation"):

        @permitted(Permission.LICENSE_CREATE)
        def create(name: str) -> str:
            return name
