"""Wrong ways to decide, each seen somewhere: what the properties of tests/test_policy.py must catch."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve
from msgspec.structs import replace

from authsvc.credentials.subject import LicensesSubject, LicenseSubject, MemberSubject
from authsvc.decision import Decision, Denial, DenialReason
from authsvc.policy import RepositoryLocation, decide, locate
from authsvc.spec.claims import Access
from authsvc.spec.scope import ResourceScope
from authsvc.tenancy.records import Role
from tests.support.builders import as_license

Person = MemberSubject | LicenseSubject
Locate = Callable[[str], RepositoryLocation | None]
Decide = Callable[[Person, Sequence[ResourceScope], datetime], Decision]


def by_prefix(name: str) -> RepositoryLocation | None:
    """Find the app by the beginning of the text."""
    return next(
        (RepositoryLocation(slug, (name[len(slug) :],)) for slug in ("acme", "api") if name.startswith(slug)), None
    )


def by_first_segment(name: str) -> RepositoryLocation | None:
    """Find the app by splitting, without the grammar."""
    app, slash, rest = name.partition("/")
    return RepositoryLocation(app, tuple(rest.split("/"))) if slash and app != "proxy" else locate(name)


def case_blind(name: str) -> RepositoryLocation | None:
    """Fold the case before looking."""
    return locate(name.lower())


def tidied(name: str) -> RepositoryLocation | None:
    """Clean the path before looking, as file systems do."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {"", ".", ".."}:
            parts.append(part)
    return locate("/".join(parts))


def domain_ignored(name: str) -> RepositoryLocation | None:
    """Take a host in front for decoration."""
    first, _, rest = name.partition("/")
    return locate(rest) if ":" in first else locate(name)


def trailing_newline(name: str) -> RepositoryLocation | None:
    """Match with ``$``, which lets a line break pass."""
    return locate(name.removesuffix("\n"))


def with_access(decision: Decision, access: Iterable[Access]) -> Decision:
    """Return ``decision`` with something else granted."""
    return replace(decision, access=tuple(access))


def echo(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Grant what was asked."""
    return Decision(tuple(Access(s.type, s.name, s.actions, s.resource_class) for s in requested))


def everything_allowed(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Grant what is allowed, whatever was asked (harbor service/token/creator.go)."""
    return decide(subject, [replace(scope, actions=("*",)) for scope in requested], now)


def by_name_prefix(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Take a name for the app's that it begins with."""
    return with_access(
        decide(subject, requested, now),
        (
            Access(scope.type, scope.name, ("pull",))
            for scope in requested
            if scope.name.startswith("acme") and scope.type == "repository" and "pull" in scope.actions
        ),
    )


def star_echoed(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Write ``*`` into the token when it was asked."""
    starred = {scope.name for scope in requested if "*" in scope.actions}
    decision = decide(subject, requested, now)
    return with_access(decision, (replace(a, actions=("*",)) if a.name in starred else a for a in decision.access))


def catalog_for_owners(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Let owners list every repository."""
    asked = [Access(s.type, s.name, ("*",)) for s in requested if (s.type, s.name) == ("registry", "catalog")]
    decision = decide(subject, requested, now)
    owner = isinstance(subject, MemberSubject) and subject.member.role == Role.OWNER
    return with_access(decision, [*decision.access, *asked]) if owner else decision


def team_forgotten(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Look the app up and forget whose it is."""
    if isinstance(subject, MemberSubject):
        mine = {slug: evolve(app, team=subject.member.team) for slug, app in subject.apps.items()}
        return decide(evolve(subject, apps=mine), requested, now)
    return decide(subject, requested, now)


def limits_forgotten(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Forget a member's apps and a license's patterns."""
    if isinstance(subject, MemberSubject):
        return decide(evolve(subject, member=evolve(subject.member, apps=None)), requested, now)
    return decide(as_license(evolve(subject.license, repositories=None)), requested, now)


def push_without_pull(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Grant the letter of what was asked, which breaks every client (distribution#2932)."""
    asked = {(s.type, s.resource_class, s.name): s.actions for s in requested}
    decision = decide(subject, requested, now)
    literal = (
        replace(a, actions=tuple(x for x in a.actions if {x, "*"} & set(asked[a.type, a.resource_class, a.name])))
        for a in decision.access
    )
    return with_access(decision, (a for a in literal if a.actions))


def state_forgotten(subject: Person, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Decide as if every account were in order."""
    if isinstance(subject, MemberSubject):
        return decide(evolve(subject, member=evolve(subject.member, disabled_at=None)), requested, now)
    open_end = evolve(
        subject.license, revoked_at=None, archived_at=None, not_before=None, expires_at=now + timedelta(days=2)
    )
    return decide(LicenseSubject(open_end, evolve(subject.app, archived_at=None)), requested, now)


# --- several licenses in one password ----------------------------------------------------------------------------

DecideTogether = Callable[[LicensesSubject, Sequence[ResourceScope], datetime], Decision]


def union_with_push(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Let the union of several licenses do what none of them may."""
    decision = decide(subject, requested, now)
    return with_access(decision, (replace(a, actions=tuple(sorted({*a.actions, "push"}))) for a in decision.access))


def last_end(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """End the token with the last license that granted it, not with the first."""
    decision = decide(subject, requested, now)
    ends = [one.expires_at for one in subject.licenses if one.id in decision.licenses]
    return replace(decision, ends_at=max(ends, default=decision.ends_at))


def end_of_the_first(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """End the token with the first license of all, whether it granted anything or not."""
    decision = decide(subject, requested, now)
    return replace(decision, ends_at=min(one.expires_at for one in subject.licenses)) if decision.access else decision


def revoked_contribute(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Forget that some of them are revoked."""
    licenses = tuple(evolve(one, revoked_at=None, archived_at=None) for one in subject.licenses)
    return decide(evolve(subject, licenses=licenses), requested, now)


def patterns_pooled(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Let the patterns of one license count in the app of another."""
    each = [one.repositories for one in subject.licenses]
    pooled = None if None in each else tuple(pattern for patterns in each for pattern in patterns or ())
    licenses = tuple(evolve(one, repositories=pooled) for one in subject.licenses)
    return decide(evolve(subject, licenses=licenses), requested, now)


def archived_apps_count(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Forget that the app of one of them was put away."""
    apps = {slug: evolve(app, archived_at=None) for slug, app in subject.apps.items()}
    return decide(evolve(subject, apps=apps), requested, now)


def everybody_signs(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Name all licenses as the subject, also those that granted nothing."""
    decision = decide(subject, requested, now)
    return replace(decision, licenses=tuple(one.id for one in subject.licenses)) if decision.access else decision


ENDED = Denial(DenialReason.LICENSE_EXPIRED, datetime.min.replace(tzinfo=UTC), "ended")


def one_denies_all(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Deny the request because of one license that is not in force."""
    ended = next((one for one in subject.licenses if one.state(now) != "active"), None)
    return decide(subject, requested, now) if ended is None else Decision(account=ENDED, licenses=(ended.id,))


def never_denied(subject: LicensesSubject, requested: Sequence[ResourceScope], now: datetime) -> Decision:
    """Answer with a token that opens nothing, and say nothing about why."""
    decision = decide(subject, requested, now)
    return decision if decision.account is None else Decision()
