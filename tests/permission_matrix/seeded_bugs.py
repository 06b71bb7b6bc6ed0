"""Authorization bugs that are easily made: what the matrix must catch.

Each takes monkeypatch and puts one wrong function into authsvc.manage; the source stays as it is.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from attrs import evolve, frozen

from authsvc.activity.image_name import ImageName
from authsvc.audit.selection import EntrySelection
from authsvc.errors import NotFound
from authsvc.images.index import ImageScope
from authsvc.manage import audit_query as audit_query_module
from authsvc.manage import image_deletions as deletions_module
from authsvc.manage import images as images_module
from authsvc.manage import licenses as licenses_module
from authsvc.manage import service_accounts as accounts_module
from authsvc.manage import tokens as tokens_module
from authsvc.manage.actor import Actor
from authsvc.manage.audit_view import AuditView
from authsvc.manage.images import Images
from authsvc.manage.licenses import Licenses
from authsvc.manage.lookup import find_license
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import AccessLevel, Permission, PermissionRule, PermissionScope
from authsvc.manage.stores import Stores
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member, Role
from authsvc.tenancy.versioned import Versioned


@frozen
class Bug:
    """One bug.

    Attributes:
        seed: puts it in.
        use_cases: whose cells must show it.
    """

    seed: Callable[[pytest.MonkeyPatch], None]
    use_cases: tuple[str, ...]


BUGS: dict[str, Bug] = {}

sees, require = Actor.sees, Actor.require
role_denial, access_denial, denial = Actor._role_denial, Actor._access_denial, Actor.denial
of_member, of_token, of_account = Actor.of_member, Actor.of_personal_token, Actor.of_service_account
revoke = Licenses.revoke


def bug(sentence: str, owner: object, attribute: str, *use_cases: str) -> Callable[[Any], Any]:
    """Note a function that takes the place of ``owner``'s ``attribute``."""

    def note(wrong: Any) -> Any:
        BUGS[sentence] = Bug(lambda monkeypatch: monkeypatch.setattr(owner, attribute, wrong), use_cases)
        return wrong

    return note


def unchecked(kind: type, name: str) -> None:
    """Note a use case without its check."""
    method = getattr(kind, name).__wrapped__
    bug(f"{kind.__name__}.{name} checks nothing", kind, name, f"{kind.__name__}.{name}")(method)


unchecked(Licenses, "revoke")
unchecked(Licenses, "show")
unchecked(Licenses, "file_of")
unchecked(Members, "list")
unchecked(Images, "show")
unchecked(Members, "set_role")


@bug("a use case looks before it checks", Licenses, "revoke", "Licenses.revoke")
async def _looks_first(self: Licenses, license_id: str, operation: Operation, app: str | None = None) -> License:
    await find_license(self.stores, operation.actor, license_id)
    return await revoke(self, license_id, operation, app)


@bug("service accounts are not checked", Actor, "require", "Licenses.create", "Members.list")
def _machines_may(self: Actor, permission: Permission) -> None:
    if not self.grants:
        require(self, permission)


@bug("the team is ignored", Actor, "sees", "Licenses.show")
def _any_team(self: Actor, team: str, app: str | None = None) -> bool:
    return sees(self, self.team or team, app)


@bug("the team of a member is ignored", Actor, "sees", "Members.disable")
def _any_members(self: Actor, team: str, app: str | None = None) -> bool:
    return app is None or sees(self, team, app)


@bug("the limit to some apps is ignored", Actor, "sees", "Licenses.list")
def _any_app(self: Actor, team: str, app: str | None = None) -> bool:
    return sees(self, team)


@bug("team-wide rows are open to a member with limits", Actor, "_limit_denial", "Members.list", "Audit.entries")
def _no_limit(self: Actor, rule: PermissionRule) -> str | None:
    return None


@bug("read access may write", Actor, "_access_denial", "Licenses.extend")
def _reads_write(self: Actor, rule: PermissionRule) -> str | None:
    return None if self.access is AccessLevel.READ else access_denial(self, rule)


@bug("a token for the registry may read", Actor, "_access_denial", "Teams.apps")
def _registry_reads(self: Actor, rule: PermissionRule) -> str | None:
    return None if rule.access is AccessLevel.READ else access_denial(self, rule)


@bug("a token may set a password", Actor, "_access_denial", "Members.set_password")
def _token_is_person(self: Actor, rule: PermissionRule) -> str | None:
    return access_denial(self, evolve(rule, access=min(rule.access, AccessLevel.MANAGE)))


@bug("the creator's demotion is ignored", Actor, "_role_denial", "Licenses.create")
def _no_demotion(self: Actor, rule: PermissionRule) -> str | None:
    return role_denial(evolve(self, creator=None), rule)


@bug("the creator's limits are ignored", Actor, "of_service_account", "Licenses.show")
def _no_creator_limits(account: ServiceAccount, creator: Member | None, now: datetime) -> Actor:
    return evolve(of_account(account, creator, now), apps=None)


@bug("the creator's end is ignored", Actor, "of_service_account", "Licenses.show")
def _no_creator_end(account: ServiceAccount, creator: Member | None, now: datetime) -> Actor:
    here = None if creator is None else evolve(creator, disabled_at=None, removed_at=None)
    return of_account(account, here, now)


@bug("a disabled member goes on", Actor, "of_member", "Teams.apps")
def _disabled_goes_on(member: Member) -> Actor:
    return of_member(evolve(member, disabled_at=None))


@bug("an expired token goes on", Actor, "of_personal_token", "Teams.apps")
def _endless(token: PersonalToken, member: Member, now: datetime) -> Actor:
    return of_token(evolve(token, expires_at=None), member, now)


@bug("an expired service account goes on", Actor, "of_service_account", "Licenses.show")
def _endless_account(account: ServiceAccount, creator: Member | None, now: datetime) -> Actor:
    return of_account(evolve(account, expires_at=None), creator, now)


@bug("what ended an account is forgotten", Actor, "denial", "Licenses.show")
def _forgotten(self: Actor, rule: PermissionRule) -> str | None:
    return denial(evolve(self, inactive=None), rule)


def rule_bug(sentence: str, *use_cases: str) -> Callable[[Callable[[Permission], PermissionRule]], Any]:
    """Note a function that takes the place of the rules."""
    return lambda wrong: bug(sentence, Permission, "rule", *use_cases)(property(wrong))


@rule_bug("every role may do everything", "Licenses.create")
def _every_role(self: Permission) -> PermissionRule:
    return evolve(self.value, roles=frozenset(Role))


@rule_bug("an owner may do what is the operator's", "Keys.show")
def _owners_operate(self: Permission) -> PermissionRule:
    rule: PermissionRule = self.value
    if rule.scope is not PermissionScope.OPERATOR:
        return rule
    return evolve(rule, scope=PermissionScope.TEAM, roles=frozenset({Role.OWNER}))


@bug("anybody may use anybody's account", Actor, "require_self", "Tokens.create", "Members.set_password")
def _not_self(self: Actor, member: str, permission: Permission) -> None:
    """Accept everything."""


@bug("whose token it is is ignored", tokens_module, "find_token", "Tokens.revoke")
async def _any_token(stores: Stores, actor: Actor, token_id: str) -> Any:
    return await stores.personal_tokens.get(token_id), None


@bug("a service account rotates others", accounts_module, "find_service_account", "ServiceAccounts.rotate")
async def _any_account(stores: Stores, actor: Actor, name: str, team: str) -> Any:
    found = await stores.service_accounts.by_name(team, name)
    if found is None or not sees(actor, team):
        raise NotFound("there is none", code="service_account_not_found", field="name")
    return found


@bug("a foreign license gets a sentence of its own", licenses_module, "find_license", "Licenses.show")
async def _told_apart(stores: Stores, actor: Actor, license_id: str, _app: str | None) -> Versioned[License]:
    found = await stores.licenses.get(license_id)
    if found is not None and not sees(actor, found.record.team, found.record.app):
        raise NotFound("it is not yours", code="license_not_found", field="license_id")
    return await find_license(stores, actor, license_id)


@bug("a foreign license takes longer", licenses_module, "find_license", "Licenses.show")
async def _takes_longer(stores: Stores, actor: Actor, license_id: str, _app: str | None) -> Versioned[License]:
    if await stores.licenses.get(license_id) is not None:
        await stores.teams.get("globex-team")
    return await find_license(stores, actor, license_id)


def _every_team(monkeypatch: pytest.MonkeyPatch) -> None:
    # Either of the two alone keeps other teams out: which entries are read, and which of them are shown.
    monkeypatch.setattr(AuditView, "shows", lambda _self, _entry: True)
    monkeypatch.setattr(audit_query_module, "selection_for", lambda _view, **_conditions: EntrySelection())


BUGS["the audit shows every team"] = Bug(_every_team, ("Audit.entries", "Audit.pages"))


@bug("a service account deletes without a grant for it", deletions_module, "_require_grant", "ImageDeletions.delete")
def _no_grant(actor: Actor, image: object) -> None:
    """Accept everything."""


@bug("the images of every app are found", images_module, "find_app_of_image", "Images.show")
async def _any_app_of_image(stores: Stores, _actor: Actor, image: ImageName, _field: str = "image") -> App:
    app = await stores.apps.get(image.repository.partition("/")[0])
    if app is None:
        raise NotFound("there is no image", code="image_not_found")
    return app.record


@bug("a list of images is not limited to what the actor sees", Images, "list", "Images.list")
async def _all_images(self: Images, actor: Actor, **more: Any) -> Any:
    page = await self.stores.images.page(ImageScope(), None, 100)
    del actor, more
    return page
