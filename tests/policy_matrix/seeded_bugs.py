"""Policy bugs, each seen in some registry's token server: what the matrix must catch.

Each takes monkeypatch and puts one wrong function into authsvc.policy; the source stays as it is.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from msgspec.structs import replace

from authsvc import policy
from authsvc.credentials.subject import LicensesSubject, MemberSubject, SingleSubject, Subject
from authsvc.decision import Decision, Denial, Reason
from authsvc.policy import RepositoryLocation
from authsvc.spec.claims import Access
from authsvc.spec.scope import ResourceScope
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.patterns import covers_native, covers_proxied
from authsvc.tenancy.records import App, License, Member, Role

Bug = Callable[[pytest.MonkeyPatch], None]
Entitled = tuple[frozenset[str], Reason | None]

BUGS: dict[str, Bug] = {}

locate, decide, entitled = policy.locate, policy.decide, policy._entitled
member_actions, account_actions = policy._member_actions, policy._service_account_actions
outside, license_denial, covered = policy._outside, policy.license_denial, policy._covered
personal_denial, account_denial = policy._personal_token_denial, policy._service_account_denial
any_denial = policy._account_denial
licenses_actions, decide_together = policy._licenses_actions, policy._decide_together


def bug(sentence: str, attribute: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Note a function that takes the place of ``authsvc.policy.<attribute>``."""

    def note(wrong: Callable[..., Any]) -> Callable[..., Any]:
        def plant(monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setattr(policy, attribute, wrong)
            # Without its cache, which would keep what the bug has answered.
            monkeypatch.setattr(policy, "_granted_by_license", policy._granted_by_license.__wrapped__)

        BUGS[sentence] = plant
        return wrong

    return note


@bug("an app is found by the beginning of the name", "locate")
def _by_beginning(name: str) -> RepositoryLocation | None:
    mine = next((slug for slug in ("acme", "globex") if name.startswith(slug)), None)
    return locate(name) if mine is None else RepositoryLocation(mine, tuple(name[len(mine) :].strip("/").split("/")))


@bug("the case of a name is folded", "locate")
def _folded(name: str) -> RepositoryLocation | None:
    return locate(name.lower())


@bug("a host in front of the name is ignored", "locate")
def _without_host(name: str) -> RepositoryLocation | None:
    host, _, rest = name.partition("/")
    return locate(rest if ":" in host else name)


@bug("a name is tidied as a path", "locate")
def _tidied(name: str) -> RepositoryLocation | None:
    return locate("/".join(part for part in name.split("/") if part))


@bug("the app's own name is one of its repositories", "locate")
def _root(name: str) -> RepositoryLocation | None:
    return locate(name) or (RepositoryLocation(name, ()) if "/" not in name else None)


@bug("a pulled-through image counts as the app's own", "locate")
def _proxied_is_native(name: str) -> RepositoryLocation | None:
    location = locate(name)
    return location if location is None else evolve(location, upstream=None)


@bug("the star is written into the token", "decide")
def _star(subject: Subject, requested: Iterable[ResourceScope], now: datetime) -> Decision:
    asked = list(requested)
    starred = {scope.name for scope in asked if "*" in scope.actions}
    decision = decide(subject, asked, now)
    return replace(
        decision,
        access=tuple(replace(entry, actions=("*",)) if entry.name in starred else entry for entry in decision.access),
    )


@bug("owners may list the catalog", "decide")
def _catalog(subject: Subject, requested: Iterable[ResourceScope], now: datetime) -> Decision:
    asked = list(requested)
    decision = decide(subject, asked, now)
    owner = isinstance(subject, MemberSubject) and subject.member.role == Role.OWNER and decision.account is None
    catalog = tuple(Access(scope.type, scope.name, scope.actions) for scope in asked if scope.type == "registry")
    return replace(decision, access=(*decision.access, *catalog)) if owner else decision


@bug("everything that is allowed is granted, asked or not", "decide")
def _unasked(subject: Subject, requested: Iterable[ResourceScope], now: datetime) -> Decision:
    return decide(subject, [replace(scope, actions=("*",)) for scope in requested], now)


@bug("the type of the resource is ignored", "_entitled")
def _any_type(subject: Subject, scope: ResourceScope) -> Entitled:
    return entitled(subject, replace(scope, type="repository"))


@bug("the class of the resource is ignored", "_entitled")
def _any_class(subject: Subject, scope: ResourceScope) -> Entitled:
    return entitled(subject, replace(scope, resource_class=None))


@bug("proxies may be pushed to", "_entitled")
def _proxy_push(subject: Subject, scope: ResourceScope) -> Entitled:
    actions, reason = entitled(subject, scope)
    proxied = (
        scope.type == "repository" and (location := locate(scope.name)) is not None and location.upstream is not None
    )
    return (actions | {"push"} if proxied and actions else actions), reason


@bug("the limit of a member is ignored", "_member_actions")
def _unlimited(member: Member, apps: Mapping[str, App], location: RepositoryLocation) -> Entitled:
    return member_actions(evolve(member, apps=None), apps, location)


@bug("a developer may delete", "_member_actions")
def _developers_delete(member: Member, apps: Mapping[str, App], location: RepositoryLocation) -> Entitled:
    actions, reason = member_actions(member, apps, location)
    return (actions | {"delete"} if "push" in actions else actions), reason


@bug("whose app it is, is ignored", "_outside")
def _any_team(team: str, apps: Mapping[str, App], location: RepositoryLocation) -> Reason | None:
    return outside(team, {slug: evolve(app, team=team) for slug, app in apps.items()}, location)


@bug("an archived app is as good as any", "_outside")
def _archived(team: str, apps: Mapping[str, App], location: RepositoryLocation) -> Reason | None:
    return outside(team, {slug: evolve(app, archived_at=None) for slug, app in apps.items()}, location)


@bug("the creator of a service account is ignored", "_service_account_actions")
def _without_creator(
    account: ServiceAccount, _: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitled:
    return account_actions(account, None, apps, location)


@bug("a service account may do what its creator may", "_service_account_actions")
def _as_creator(
    account: ServiceAccount, creator: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitled:
    if creator is None:
        return account_actions(account, creator, apps, location)
    return member_actions(creator, apps, location)


@bug("a grant is good for every app", "_service_account_actions")
def _any_app(
    account: ServiceAccount, creator: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitled:
    grants = tuple(evolve(grant, app=location.app) for grant in account.grants)
    return account_actions(evolve(account, grants=grants), creator, apps, location)


@bug("a grant of push lets pull where nobody can push", "_service_account_actions")
def _useless_push(
    account: ServiceAccount, creator: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitled:
    grants = tuple(
        evolve(grant, actions=(*grant.actions, "pull")) for grant in account.grants if "push" in grant.actions
    )
    return account_actions(evolve(account, grants=(*account.grants, *grants)), creator, apps, location)


@bug("a grant of push does not let pull", "_service_account_actions")
def _push_alone(
    account: ServiceAccount, creator: Member | None, apps: Mapping[str, App], location: RepositoryLocation
) -> Entitled:
    actions, reason = account_actions(account, creator, apps, location)
    return (actions if any("pull" in grant.actions for grant in account.grants) else actions - {"pull"}), reason


@bug("the creator's end is ignored", "_service_account_denial")
def _orphan(account: ServiceAccount, _: Member | None, now: datetime) -> Denial | None:
    return account_denial(account, None, now)


@bug("a disabled service account goes on", "_service_account_denial")
def _disabled(account: ServiceAccount, creator: Member | None, now: datetime) -> Denial | None:
    return account_denial(evolve(account, disabled_at=None), creator, now)


@bug("a pattern is matched against the whole name", "_covers")
def _whole_name(pattern: str, location: RepositoryLocation) -> bool:
    return covers_native(pattern, (location.app, *location.rest))


@bug("a star crosses the slash", "_covers")
def _glob(pattern: str, location: RepositoryLocation) -> bool:
    if location.upstream is not None:
        return covers_proxied(pattern, location.upstream, location.rest)
    return pattern.partition("/")[0] != "proxy" and fnmatch.fnmatchcase("/".join(location.rest), pattern)


@bug("a pattern covers what begins like it", "_covers")
def _beginning(pattern: str, location: RepositoryLocation) -> bool:
    return location.upstream is None and "/".join(location.rest).startswith(pattern.rstrip("*"))


@bug("two stars at the end cover nothing, too", "_covers")
def _two_stars(pattern: str, location: RepositoryLocation) -> bool:
    if location.upstream is not None:
        return covers_proxied(pattern, location.upstream, location.rest)
    return covers_native(pattern, location.rest) or pattern == "/".join((*location.rest, "**"))


@bug("a native name that says proxy matches a proxy pattern", "_covers")
def _says_proxy(pattern: str, location: RepositoryLocation) -> bool:
    if location.upstream is None and location.rest[:1] == ("proxy",):
        return covers_proxied(pattern, location.rest[1], location.rest[2:])
    if location.upstream is not None:
        return covers_proxied(pattern, location.upstream, location.rest)
    return covers_native(pattern, location.rest)


@bug("no pattern is every pattern", "_covered")
def _empty_is_all(patterns: tuple[str, ...] | None, location: RepositoryLocation) -> bool:
    return covered(patterns or None, location)


@bug("a whole app is its proxies, too", "_covered")
def _whole_with_proxies(patterns: tuple[str, ...] | None, location: RepositoryLocation) -> bool:
    return patterns is None or covered(patterns, location)


@bug("an expired license counts at the instant of its end", "license_denial")
def _at_the_end(license_: License, app: App, now: datetime) -> Denial | None:
    begun = license_.not_before is not None and license_.not_before <= now
    return license_denial(
        evolve(license_, not_before=None) if begun else license_, app, now - timedelta(microseconds=1)
    )


@bug("a license counts before it begins", "license_denial")
def _too_early(license_: License, app: App, now: datetime) -> Denial | None:
    return license_denial(evolve(license_, not_before=None), app, now)


@bug("an archived license goes on", "license_denial")
def _archived_license(license_: License, app: App, now: datetime) -> Denial | None:
    return license_denial(evolve(license_, archived_at=None), app, now)


@bug("the license of an archived app goes on", "license_denial")
def _archived_app(license_: License, app: App, now: datetime) -> Denial | None:
    return license_denial(license_, evolve(app, archived_at=None), now)


@bug("several licenses together may push", "_licenses_actions")
def _together_push(licenses: tuple[License, ...], location: RepositoryLocation) -> Entitled:
    actions, reason = licenses_actions(licenses, location)
    return (actions | {"push"} if actions else actions), reason


@bug("the patterns of one license count in the app of another", "_decide_together")
def _pooled_patterns(subject: LicensesSubject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    each = [one.repositories for one in subject.licenses]
    pooled = None if None in each else tuple(pattern for patterns in each for pattern in patterns or ())
    licenses = tuple(evolve(one, repositories=pooled) for one in subject.licenses)
    return decide_together(evolve(subject, licenses=licenses), requested, now)


@bug("of several licenses only the first grants", "_licenses_actions")
def _first_alone(licenses: tuple[License, ...], location: RepositoryLocation) -> Entitled:
    return licenses_actions(licenses[:1], location)


@bug("a license that is not in force grants beside one that is", "_decide_together")
def _carried_along(subject: LicensesSubject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    def counts(one: License) -> bool:
        return one.app in subject.apps and license_denial(one, subject.apps[one.app], now) is None

    good = next((one for one in subject.licenses if counts(one)), None)
    if good is None:
        return decide_together(subject, requested, now)
    licenses = (
        evolve(one, expires_at=good.expires_at, not_before=None, revoked_at=None, archived_at=None)
        for one in subject.licenses
    )
    return decide_together(evolve(subject, licenses=tuple(licenses)), requested, now)


@bug("one license that is not in force denies all of them", "_decide_together")
def _all_or_nothing(subject: LicensesSubject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    denials = [license_denial(one, subject.apps[one.app], now) for one in subject.licenses if one.app in subject.apps]
    account = next((denial for denial in denials if denial), None)
    return Decision(account=account) if account else decide_together(subject, requested, now)


@bug("a license that is not in force is passed over in silence", "_decide_together")
def _silent(subject: LicensesSubject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    decision = decide_together(subject, requested, now)
    return Decision() if decision.account else decision


@bug("a personal token never ends", "_personal_token_denial")
def _endless(token: PersonalToken, member: Member, now: datetime) -> Denial | None:
    return personal_denial(evolve(token, expires_at=None), member, now)


@bug("a revoked personal token goes on", "_personal_token_denial")
def _revoked(token: PersonalToken, member: Member, now: datetime) -> Denial | None:
    return personal_denial(evolve(token, revoked_at=None), member, now)


@bug("a disabled member's tokens go on", "_account_denial")
def _members_tokens(subject: SingleSubject, now: datetime) -> Denial | None:
    if isinstance(subject, MemberSubject) and isinstance(subject.by, PersonalToken):
        return personal_denial(subject.by, subject.member, now)
    return any_denial(subject, now)
