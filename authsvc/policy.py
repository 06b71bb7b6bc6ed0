"""Authorization: what a subject may do, as one pure function, :func:`decide`.

The registry enforces exactly what a token says, so this module isolates vendors from each other. It grants only what is
both requested and entitled; a refused scope is left out and never fails the request (distribution "Token Authentication
Specification", step 5).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import assert_never

from attrs import evolve, frozen

from authsvc.credentials.subject import (
    LicensesSubject,
    LicenseSubject,
    MemberSubject,
    ServiceAccountSubject,
    SingleSubject,
    Subject,
)
from authsvc.decision import DELETE, PULL, PUSH, Decision, Denial, DenialReason, Reason, Refusal, RefusalReason
from authsvc.spec.claims import Access
from authsvc.spec.reference import Repository
from authsvc.spec.scope import ALL_ACTIONS, ResourceScope
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.patterns import PROXY, covers_native, covers_proxied
from authsvc.tenancy.records import App, License, Member, Role

ACTIONS = frozenset({PULL, PUSH, DELETE})
"""Every action that can be granted on a repository. ``*`` is never granted: the registry takes it for "everything"."""

ROLE_ACTIONS: dict[Role, frozenset[str]] = {
    Role.OWNER: frozenset({PULL, PUSH, DELETE}),
    Role.DEVELOPER: frozenset({PULL, PUSH}),
    Role.VIEWER: frozenset({PULL}),
}
"""What a member may do in the apps of the team (docs/isolation.md shows this table)."""

REPOSITORY = "repository"

Entitlement = tuple[frozenset[str], Reason | None]
"""Actions that a subject may do on a resource, and why when there are none or fewer."""

Granted = tuple[tuple[Access, ...], tuple[Refusal, ...]]
"""What a subject gets of a request, and what it is refused."""

MAX_REMEMBERED, MAX_REMEMBERED_TEXT = 1024, 256
"""Most requests of one scope whose answers are cached, and the longest name and patterns of such a request: many
licenses of an app request the same image. At most about 2 MiB in each of the two caches."""


@frozen
class RepositoryLocation:
    """Where a repository lies.

    Attributes:
        app: slug of the namespace it belongs to.
        rest: the path inside the app.
        upstream: the linked registry it is pulled through from, or None for an image of our own registry.
    """

    app: str
    rest: tuple[str, ...]
    upstream: str | None = None


@frozen
class LicenseRepositories:
    """What a license is for; its fields are those of :class:`~authsvc.tenancy.records.License`.

    Attributes:
        app: slug of the app.
        repositories: patterns relative to the app; None for the whole native app.
    """

    app: str
    repositories: tuple[str, ...] | None


def decide(subject: Subject, requested: Iterable[ResourceScope], now: datetime) -> Decision:
    """Return which of the ``requested`` access ``subject`` gets.

    Args:
        subject: proven, with its facts as of one instant.
        requested: merged scopes.
        now: the request's one reading of the clock.
    """
    if isinstance(subject, LicensesSubject):
        return _decide_together(subject, tuple(requested), now)
    account = _account_denial(subject, now)
    if account is not None:
        return Decision(account=account)
    scopes = tuple(requested)
    if isinstance(subject, LicenseSubject) and _is_short(scopes, subject.license.repositories or ()):
        license_ = subject.license
        access, refusals = _granted_by_license(license_.app, license_.repositories, scopes)
    else:
        access, refusals = _granted(subject, scopes)
    return Decision(access, refusals, ends_at=_ends_at(subject))


def _is_short(requested: tuple[ResourceScope, ...], patterns: tuple[str, ...] = ()) -> bool:
    """Whether the answer to a request is cached."""
    if len(requested) > 1:
        return False
    return sum(map(len, patterns)) + sum(len(scope.name) for scope in requested) <= MAX_REMEMBERED_TEXT


@lru_cache(MAX_REMEMBERED)
def _granted_by_license(
    app: str, repositories: tuple[str, ...] | None, requested: tuple[ResourceScope, ...]
) -> Granted:
    """Return what a usable license for ``repositories`` of ``app`` gets: the same for all such licenses."""
    return _granted(LicenseRepositories(app, repositories), requested)


def _granted(subject: Subject | LicenseRepositories, requested: Iterable[ResourceScope]) -> Granted:
    """Return which of ``requested`` a subject gets, and what it is refused; its account is known to be usable."""
    access: list[Access] = []
    refusals: list[Refusal] = []
    for scope in requested:
        entitled, reason = _entitled(subject, scope)
        asked = ACTIONS if ALL_ACTIONS in scope.actions else frozenset(scope.actions)
        granted = asked & entitled
        if PUSH in granted:  # every client also reads while it pushes (distribution#2932)
            granted |= entitled & {PULL}
        if granted:
            access.append(Access(scope.type, scope.name, tuple(sorted(granted)), scope.resource_class))
        refusals.extend(_refusals(scope, granted, entitled, reason))
    return tuple(access), tuple(refusals)


def _refusals(
    scope: ResourceScope, granted: frozenset[str], entitled: frozenset[str], reason: Reason | None
) -> Iterable[Refusal]:
    """Return which actions of one scope were not granted. The scope is formatted only once, since it may be long."""
    missing = sorted(set(scope.actions) - granted - {ALL_ACTIONS})
    nothing_of_all = ALL_ACTIONS in scope.actions and not granted
    if not (missing or nothing_of_all):
        return
    text = str(scope)
    otherwise = Reason(RefusalReason.ACTION_NOT_ALLOWED, tuple(sorted(entitled)))
    for action in missing:
        yield Refusal(text, action, reason or otherwise)
    if nothing_of_all:
        yield Refusal(text, ALL_ACTIONS, reason or Reason(RefusalReason.NOTHING_GRANTED))


def _decide_together(subject: LicensesSubject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    """Return what several licenses get together (design #7): the union of what each valid license gets alone.

    The right ends with the first license that granted anything. The whole request is denied only when nothing is
    granted and a license of a requested app is not valid; of several such licenses the newest determines the reason.
    A request without scopes, which is how clients sign in, succeeds when any license is valid.
    """
    newest_first = sorted(subject.licenses, key=lambda one: (one.issued_at, one.id), reverse=True)
    # Only the apps of licenses that matter to the request were looked up.
    looked_up = [(one, subject.apps[one.app]) for one in newest_first if one.app in subject.apps]
    denials = {one.id: license_denial(one, app, now) for one, app in looked_up}
    in_force = tuple(one for one, _ in looked_up if denials[one.id] is None)
    access, refusals = _granted(evolve(subject, licenses=in_force), requested)
    granting = [one for one in in_force if any(_grants(one, entry) for entry in access)]
    if granting:
        ids = tuple(sorted(one.id for one in granting))
        return Decision(access, refusals, ends_at=min(one.expires_at for one in granting), licenses=ids)
    if not requested and in_force:
        return Decision(ends_at=min(one.expires_at for one in in_force), licenses=tuple(one.id for one in in_force))
    asked = namespaces(requested)
    for one, app in looked_up:
        denial = denials[one.id]
        if denial is not None and (app.slug in asked or not requested):
            return Decision(account=denial, licenses=(one.id,), unanswered=subject.unchecked)
    ids = tuple(one.id for one, app in looked_up if app.slug in asked)
    return Decision(refusals=refusals, licenses=ids, unanswered=subject.unchecked)


def _grants(license_: License, entry: Access) -> bool:
    """Whether ``license_`` alone grants any of ``entry``."""
    location = locate(entry.name)
    return location is not None and bool(_license_actions(license_, location)[0].intersection(entry.actions))


def namespaces(requested: Iterable[ResourceScope]) -> frozenset[str]:
    """Return the slugs of the apps in ``requested``."""
    scopes = tuple(requested)
    return _namespaces_of_short(scopes) if _is_short(scopes) else _namespaces(scopes)


@lru_cache(MAX_REMEMBERED)
def _namespaces_of_short(requested: tuple[ResourceScope, ...]) -> frozenset[str]:
    return _namespaces(requested)


def _namespaces(requested: tuple[ResourceScope, ...]) -> frozenset[str]:
    locations = (locate(scope.name) for scope in requested if scope.type == REPOSITORY)
    return frozenset(location.app for location in locations if location is not None)


@lru_cache(1024)
def locate(name: str) -> RepositoryLocation | None:
    """Return where the repository ``name`` lies, or None when it cannot belong to any app (design #11).

    ``a/<rest>`` and ``proxy/a/<upstream>/<rest>`` belong to app ``a``. Whole components of the parsed name are
    compared, case-sensitively: ``acme-evil/x``, ``acme/../b`` and ``Acme/x`` do not belong to ``acme``.
    """
    try:
        repository = Repository.parse(name)
    except ValueError:
        return None
    if repository.domain is not None:
        return None
    match repository.components:
        case (first, app, upstream, *rest) if first == PROXY and rest:
            return RepositoryLocation(app, tuple(rest), upstream)
        case (app, *rest) if app != PROXY and rest:
            return RepositoryLocation(app, tuple(rest))
        case _:
            return None


def _entitled(subject: Subject | LicenseRepositories, scope: ResourceScope) -> Entitlement:
    """Return the actions that ``subject`` may do on the resource of ``scope``, and the reason when there are none."""
    nothing: frozenset[str] = frozenset()
    if scope.type != REPOSITORY:
        return nothing, Reason(RefusalReason.RESOURCE_TYPE, scope.type)
    if scope.resource_class is not None:
        return nothing, Reason(RefusalReason.RESOURCE_CLASS, scope.resource_class)
    location = locate(scope.name)
    if location is None:
        return nothing, Reason(RefusalReason.NOT_A_REPOSITORY)
    match subject:
        case LicenseRepositories():
            actions, reason = _license_actions(subject, location)
        case LicenseSubject(license_):
            actions, reason = _license_actions(license_, location)
        case LicensesSubject(licenses):
            actions, reason = _licenses_actions(licenses, location)
        case MemberSubject(member, apps):
            actions, reason = _member_actions(member, apps, location)
        case ServiceAccountSubject(account, apps, creator):
            actions, reason = _service_account_actions(account, creator, apps, location)
        case _:
            assert_never(subject)
    return (actions & {PULL} if location.upstream is not None else actions), reason


def _license_actions(license_: License | LicenseRepositories, location: RepositoryLocation) -> Entitlement:
    nothing: frozenset[str] = frozenset()
    if location.app != license_.app:
        return nothing, Reason(RefusalReason.LICENSE_FOR_OTHER_APP, license_.app)
    if not _covered(license_.repositories, location):
        return nothing, Reason(RefusalReason.NOT_COVERED_BY_LICENSE)
    return frozenset({PULL}), None


def _licenses_actions(licenses: tuple[License, ...], location: RepositoryLocation) -> Entitlement:
    """Return the union of what each of several licenses gives."""
    own = [_license_actions(license_, location) for license_ in licenses if license_.app == location.app]
    if not own:
        return frozenset(), Reason(RefusalReason.NO_LICENSE_FOR_APP, location.app)
    actions = frozenset[str]().union(*(one for one, _ in own))
    return actions, None if actions else own[0][1]


def _covered(patterns: tuple[str, ...] | None, location: RepositoryLocation) -> bool:
    """Whether patterns cover ``place``; None covers the whole native app and nothing pulled through."""
    if patterns is None:
        return location.upstream is None
    return any(_covers(pattern, location) for pattern in patterns)


@lru_cache(1024)
def _covers(pattern: str, location: RepositoryLocation) -> bool:
    if location.upstream is None:
        return covers_native(pattern, location.rest)
    return covers_proxied(pattern, location.upstream, location.rest)


def _member_actions(member: Member, apps: Mapping[str, App], location: RepositoryLocation) -> Entitlement:
    nothing: frozenset[str] = frozenset()
    reason = _outside(member.team, apps, location)
    if reason:
        return nothing, reason
    if member.apps is not None and location.app not in member.apps:
        return nothing, Reason(RefusalReason.MEMBER_LIMITED, tuple(member.apps))
    return ROLE_ACTIONS[member.role], None


def _service_account_actions(
    account: ServiceAccount, creator: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitlement:
    """Return the actions of the grants, limited to those that the creator may do now (threat 13)."""
    nothing: frozenset[str] = frozenset()
    reason = _outside(account.team, apps, location)
    if reason:
        return nothing, reason
    granted = nothing.union(
        *(grant.actions for grant in account.grants if grant.app == location.app and _covers(grant.pattern, location))
    )
    if not granted:
        return nothing, Reason(RefusalReason.NOT_COVERED_BY_GRANTS)
    if (
        PUSH in granted and location.upstream is None
    ):  # push alone is of no use: the registry asks for both (design #10)
        granted |= {PULL}
    if creator is None:
        return granted, None
    held, _ = _member_actions(creator, apps, location)
    may = granted & held
    return may, None if may == granted else Reason(RefusalReason.CREATOR_MAY_NOT, creator.email)


def _outside(team: str, apps: Mapping[str, App], location: RepositoryLocation) -> Reason | None:
    """Return why no account of ``team`` may use ``place``, or None."""
    app = apps.get(location.app)
    if app is None or app.slug != location.app:
        return Reason(RefusalReason.APP_UNKNOWN)
    if app.team != team:
        return Reason(RefusalReason.APP_OF_OTHER_TEAM)
    return None if app.archived_at is None else Reason(RefusalReason.APP_ARCHIVED, app.archived_at)


def _ends_at(subject: SingleSubject) -> datetime | None:
    """Return when the subject's right itself ends."""
    match subject:
        case LicenseSubject(license_):
            return license_.expires_at
        case ServiceAccountSubject(account):
            return account.expires_at
        case MemberSubject(by=PersonalToken() as token):
            return token.expires_at
        case _:
            return None


def _account_denial(subject: SingleSubject, now: datetime) -> Denial | None:
    """Return why the whole account is refused, or None when it may be used."""
    match subject:
        case LicenseSubject(license_, app):
            return license_denial(license_, app, now)
        case MemberSubject(member, by=PersonalToken() as token):
            return _member_denial(member) or _personal_token_denial(token, member, now)
        case MemberSubject(member):
            return _member_denial(member)
        case ServiceAccountSubject(account, creator=creator):
            return _service_account_denial(account, creator, now)
        case _:
            assert_never(subject)


def _member_denial(member: Member) -> Denial | None:
    if member.disabled_at is None:
        return None
    return Denial(DenialReason.MEMBER_DISABLED, member.disabled_at, member.email, ask=member.team)


def _personal_token_denial(token: PersonalToken, member: Member, now: datetime) -> Denial | None:
    if token.revoked_at is not None:
        return Denial(DenialReason.TOKEN_REVOKED, token.revoked_at, token.name, member.email, member.team)
    if token.expires_at is not None and now >= token.expires_at:
        return Denial(DenialReason.TOKEN_EXPIRED, token.expires_at, token.name, member.email, member.team)
    return None


def _service_account_denial(account: ServiceAccount, creator: Member | None, now: datetime) -> Denial | None:
    gone = None if creator is None else creator.removed_at or creator.disabled_at
    facts = (
        (DenialReason.SERVICE_ACCOUNT_REVOKED, account.revoked_at),
        (DenialReason.SERVICE_ACCOUNT_DISABLED, account.disabled_at),
        (DenialReason.SERVICE_ACCOUNT_EXPIRED, _past(account.expires_at, now)),
        (DenialReason.CREATOR_LEFT, gone),
    )
    return next((Denial(reason, at, account.name, ask=account.team) for reason, at in facts if at is not None), None)


def _past(at: datetime | None, now: datetime) -> datetime | None:
    return at if at is not None and now >= at else None


def license_denial(license_: License, app: App, now: datetime) -> Denial | None:
    """Return why ``license_`` is refused now, or None when it is valid."""
    match license_.state(now):
        case "active" if app.archived_at is None:
            return None
        case "active":
            return Denial(DenialReason.APP_ARCHIVED, app.archived_at or now, app.slug, ask=license_.contact)
        case "pending":
            reason, at = DenialReason.LICENSE_PENDING, license_.not_before or now
        case "expired":
            reason, at = DenialReason.LICENSE_EXPIRED, license_.expires_at
        case _:
            # Archiving concerns only the vendor's lists; the customer is shown that the license is revoked.
            reason, at = DenialReason.LICENSE_REVOKED, license_.revoked_at or license_.archived_at or now
    return Denial(reason, at, license_.id, license_.customer, license_.contact)
