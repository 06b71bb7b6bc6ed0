"""The actor that calls a use case, and what it may do (design #17).

An actor is made from records once per request. It never may do more than its person may do at that moment: a personal
token acts as its member, and a service account within the rights of the member who created it.
"""

import enum
from collections.abc import Iterable
from datetime import datetime
from typing import Self

from attrs import evolve, frozen

from authsvc.errors import PermissionDenied
from authsvc.manage.permissions import AccessLevel, Permission, PermissionRule, PermissionScope
from authsvc.tenancy.machine_records import ApiAccess, Grant, PersonalToken, ServiceAccount
from authsvc.tenancy.records import Member, Role

OPERATOR = "system:authsvc"
"""Subject of the operator, the user who may read the secrets directory."""

_LEVELS = {None: AccessLevel.NONE, ApiAccess.READ: AccessLevel.READ, ApiAccess.MANAGE: AccessLevel.MANAGE}
_ROLES = {Role.OWNER: "an owner", Role.DEVELOPER: "a developer", Role.VIEWER: "a viewer"}


class ActorKind(enum.StrEnum):
    """The kinds of actors."""

    OPERATOR = "operator"
    MEMBER = "member"
    SERVICE_ACCOUNT = "service-account"


@frozen
class Person:
    """The member on whose behalf the operator acts; it does not affect permissions.

    Attributes:
        id: of the member.
        email: canonical form.
        team: slug.
    """

    id: str
    email: str
    team: str


@frozen
class Actor:
    """The caller of a use case.

    Attributes:
        kind: operator, member or service account.
        id: of the member or the service account; empty for the operator.
        name: for people: an e-mail address, or the name of a service account.
        team: slug; None for the operator, who belongs to no team and reaches all of them.
        role: of a member.
        apps: slugs of the apps that the actor is limited to; None for every app of the team.
        access: access level of the credential.
        grants: of a service account, at the registry.
        creator: the member who created the service account and whose rights limit it; None for the operator.
        inactive: why the account may not be used now, as a phrase after its name; None while it may be used.
        on_behalf_of: the person for whom the operator acts, or None.
        token: id of the personal token that a member uses; None for one who signed in in person.
    """

    kind: ActorKind
    id: str = ""
    name: str = ""
    team: str | None = None
    role: Role | None = None
    apps: frozenset[str] | None = None
    access: AccessLevel = AccessLevel.FULL
    grants: tuple[Grant, ...] = ()
    creator: "Actor | None" = None
    inactive: str | None = None
    on_behalf_of: Person | None = None
    token: str | None = None

    @classmethod
    def operator(cls, on_behalf_of: Person | None = None) -> Self:
        """Return the operator, who may do everything."""
        return cls(ActorKind.OPERATOR, name="the operator", on_behalf_of=on_behalf_of)

    @classmethod
    def visitor(cls) -> Self:
        """Return a visitor who has not signed in; only public use cases are open to visitors."""
        return cls(ActorKind.MEMBER, name="a visitor", access=AccessLevel.NONE, inactive="has not signed in")

    @classmethod
    def of_member(cls, member: Member) -> Self:
        """Return a member who signed in in person."""
        inactive = None if member.disabled_at is None else "is disabled"
        if member.removed_at is not None:
            inactive = "has been removed from the team"
        return cls(
            ActorKind.MEMBER,
            id=member.id,
            name=member.email,
            team=member.team,
            role=member.role,
            apps=None if member.apps is None else frozenset(member.apps),
            inactive=inactive,
        )

    @classmethod
    def of_personal_token(cls, token: PersonalToken, member: Member, now: datetime) -> Self:
        """Return the member who owns a personal token, with at most the access level of the token."""
        actor = evolve(cls.of_member(member), access=_LEVELS[token.api], token=token.id)
        if token.member != member.id:
            return evolve(actor, inactive="does not own this token")
        if token.revoked_at is not None:
            return evolve(actor, inactive=actor.inactive or f"has revoked the token {token.name}")
        if token.expires_at is not None and now >= token.expires_at:
            return evolve(actor, inactive=actor.inactive or f"uses the token {token.name}, which has expired")
        return actor

    @classmethod
    def of_service_account(cls, account: ServiceAccount, creator: Member | None, now: datetime) -> Self:
        """Return a service account, limited by the rights of its creator; ``creator`` is None for the operator."""
        inactive = None if account.in_force(now) else "is revoked, disabled or expired"
        behind = None if creator is None else Actor.of_member(creator)
        if (None if behind is None else behind.id) != account.creator or (behind and behind.team != account.team):
            inactive = "has lost the member who created it"
        elif behind is not None and behind.inactive is not None:
            inactive = inactive or "ended when the member who created it left"
        return cls(
            ActorKind.SERVICE_ACCOUNT,
            id=account.id,
            name=account.name,
            team=account.team,
            apps=None if behind is None else behind.apps,
            access=_LEVELS[account.api],
            grants=account.grants,
            creator=behind,
            inactive=inactive,
        )

    @property
    def subject(self) -> str:
        """The actor's name in logs and the audit."""
        return OPERATOR if self.is_operator else f"{self.kind}:{self.id}"

    @property
    def is_operator(self) -> bool:
        """Whether this is the operator of the installation."""
        return self.kind is ActorKind.OPERATOR

    @property
    def member_id(self) -> str | None:
        """Id of the member whose rights limit what this actor creates; None for the operator.

        Raises:
            PermissionDenied: it is a service account, which cannot create anything with rights.
        """
        if self.kind is ActorKind.SERVICE_ACCOUNT:
            raise PermissionDenied(f"{self._who} may not create what has rights of its own; only members may")
        return None if self.is_operator else self.id

    def may(self, permission: Permission) -> bool:
        """Whether this actor may call the use case on a record that it sees."""
        return self.denial(permission.rule) is None

    def require(self, permission: Permission) -> None:
        """Accept an actor that may call the use case on a record that it sees.

        Raises:
            PermissionDenied: it may not.
        """
        denial = self.denial(permission.rule)
        if denial is not None:
            raise PermissionDenied(denial)

    def require_self(self, member: str, permission: Permission) -> None:
        """Accept the operator, and a member who names their own account. No records are read.

        Args:
            member: an id, or an address in its canonical form.
            permission: for the use case.

        Raises:
            PermissionDenied: it is another member's account, or there is no such account.
        """
        if not self.is_operator and (self.kind is not ActorKind.MEMBER or member not in {self.id, self.name}):
            raise PermissionDenied(f"{self._who} may {permission.rule.action} for {self.name} only")

    def require_in_person(self, action: str) -> None:
        """Accept the operator, and a member who signed in in person instead of with a token.

        Args:
            action: what only they may do, as a phrase that completes "a token may not …".

        Raises:
            PermissionDenied: the actor uses a token.
        """
        if not self.is_operator and self.access is not AccessLevel.FULL:
            raise PermissionDenied(self._only_in_person(action))

    def sees(self, team: str, app: str | None = None) -> bool:
        """Whether records of ``team``, and of its ``app`` if that is given, exist for this actor."""
        if self.is_operator:
            return True
        return team == self.team and (app is None or self.apps is None or app in self.apps)

    def sees_apps(self, team: str, apps: Iterable[str]) -> bool:
        """Whether every one of ``apps`` exists for this actor."""
        return all(self.sees(team, app) for app in apps)

    def denial(self, rule: PermissionRule) -> str | None:
        """Return why this actor may not do it, and who may; None if it may."""
        if self.is_operator or rule.scope is PermissionScope.PUBLIC:
            return None
        if self.inactive is not None:
            return f"{self._who} {self.inactive}; ask an owner of {self.team}"
        if rule.scope is PermissionScope.OPERATOR:
            return f"{self._who} may not {rule.action}; only the operator of the installation may"
        return self._role_denial(rule) or self._access_denial(rule) or self._limit_denial(rule)

    def _role_denial(self, rule: PermissionRule) -> str | None:
        if self.kind is ActorKind.MEMBER:
            if self.role in rule.roles:
                return None
            role = _ROLES[self.role] if self.role is not None else "without a role"
            return f"{self._who} is {role} and may not {rule.action}; {_who_may(rule)}"
        if rule.service_accounts is None:
            return f"{self._who} may not {rule.action}; {_who_may(rule)}"
        if self.creator is None or rule.service_accounts is PermissionScope.OWN:
            return None
        bound = self.creator.denial(rule)
        return None if bound is None else f"{self._who} has no more rights than the member who created it: {bound}"

    def _access_denial(self, rule: PermissionRule) -> str | None:
        if self.access >= rule.access:
            return None
        if rule.access is AccessLevel.FULL:
            return self._only_in_person(rule.action)
        if self.access is AccessLevel.NONE:
            return f"this token is for the registry only; to {rule.action} takes a token with API access"
        return f"this token may only read; to {rule.action} takes a token with the API access 'manage'"

    def _limit_denial(self, rule: PermissionRule) -> str | None:
        if rule.scope is not PermissionScope.TEAM or self.apps is None or self.kind is not ActorKind.MEMBER:
            return None
        apps = ", ".join(sorted(self.apps)) or "no app"
        return f"{self._who} is limited to {apps}; to {rule.action} takes access to the whole team"

    def _only_in_person(self, action: str) -> str:
        return f"a token may not {action}; {self.name} has to sign in in person"

    @property
    def _who(self) -> str:
        return f"the service account {self.name}" if self.kind is ActorKind.SERVICE_ACCOUNT else self.name


def _who_may(rule: PermissionRule) -> str:
    if rule.roles == frozenset(Role):
        return "members may"
    names = {Role.OWNER: "owners", Role.DEVELOPER: "developers", Role.VIEWER: "viewers"}
    return f"{' and '.join(names[role] for role in Role if role in rule.roles)} may"
