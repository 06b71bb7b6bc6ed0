"""The table's subjects as authsvc's own records, and what authsvc decides about each cell."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

from attrs import evolve

from authsvc import policy
from authsvc.credentials.subject import (
    LicensesSubject,
    LicenseSubject,
    MemberSubject,
    ServiceAccountSubject,
    Subject,
)
from authsvc.spec.scope import ResourceScope, merge_scopes
from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import App, License, Member, Role
from tests.policy_matrix.oracle import COUNTS, DENIED, FILE, UNAUTHORIZED, Answer, Cell, Oracle, load
from tests.support.builders import (
    LICENSE_ID,
    NOW,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_refresh_token,
    make_service_account,
)

ORACLE: Oracle = load(FILE.read_text(encoding="utf-8"))

EARLIER, LATER, INSTANT = NOW - timedelta(days=2), NOW + timedelta(days=2), timedelta(microseconds=1)

CHANGES: dict[str, dict[str, Any]] = {
    "disabled": {"disabled_at": EARLIER},
    "revoked": {"revoked_at": EARLIER},
    "archived": {"archived_at": EARLIER},
    "expired": {"expires_at": EARLIER},
    "ends at this instant": {"expires_at": NOW},
    "ends in an instant": {"expires_at": NOW + INSTANT},
    "not yet begun": {"not_before": LATER},
    "begins in an instant": {"not_before": NOW + INSTANT},
    "begins at this instant": {"not_before": NOW},
}
"""What a state says of the credential's own record."""

BEHIND = {"member disabled", "creator disabled", "creator removed"}
"""States of the member behind the credential."""


@cache
def app_of(slug: str) -> App | None:
    """Return the app, if the table's world has it."""
    world = ORACLE.world
    if slug in world["other_apps"]:
        return make_app(slug, team=world["other_team"])
    return make_app(slug, archived_at=EARLIER if slug in world["archived"] else None) if slug in world["apps"] else None


@cache
def subject_of(name: str, state: str) -> Subject:  # noqa: PLR0911  a case for each kind
    """Return the subject of a column in a state, without any app looked up."""
    facts = ORACLE.subjects[name]
    own: dict[str, Any] = {} if state in BEHIND else CHANGES.get(state, {})
    match facts["kind"]:
        case "member":
            return MemberSubject(evolve(_member(facts, state), **own))
        case "personal token":
            return MemberSubject(_member(facts, state), by=make_personal_token(**own))
        case "refresh token":
            return MemberSubject(_member(facts, state), by=make_refresh_token(**own))
        case "service account":
            return ServiceAccountSubject(make_service_account(*_grants(facts), **own))
        case "service account of a member":
            creator = _member(facts, state)
            return ServiceAccountSubject(
                make_service_account(*_grants(facts), creator=creator.id, **own), creator=creator
            )
        case "license":
            archived_at = EARLIER if state == "app archived" else None
            return LicenseSubject(_license(facts, state), make_app(facts["app"], archived_at=archived_at))
        case "licenses":
            return _licenses(facts["licenses"], ORACLE.together[state])
        case kind:
            raise AssertionError(kind)


def _licenses(names: Sequence[str], states: Sequence[str]) -> LicensesSubject:
    ids = (f"{number:016}" for number in count())
    each = zip(names, states, strict=True)
    return LicensesSubject(tuple(_license(ORACLE.subjects[name], state, next(ids)) for name, state in each))


def _license(facts: Mapping[str, Any], state: str, license_id: str = LICENSE_ID) -> License:
    patterns = facts.get("patterns")
    repositories = None if patterns is None else tuple(patterns)
    team = facts.get("team", ORACLE.world["team"])
    changes = CHANGES.get(state, {})
    return make_license(license_id, app=facts["app"], team=team, repositories=repositories, **changes)


def _member(facts: Mapping[str, Any], state: str) -> Member:
    changes: dict[str, Any] = {f"{state.partition(' ')[2]}_at": EARLIER} if state in BEHIND else {}
    limit = tuple(facts["limit"]) if "limit" in facts else None
    return make_member(Role(facts["role"]), apps=limit, **changes)


def _grants(facts: Mapping[str, Any]) -> list[Grant]:
    grants = []
    for text in facts["grants"]:
        path, _, actions = text.partition(":")
        app, _, pattern = path.partition("/")
        grants.append(Grant(app, pattern, tuple(sorted(actions.split(",")))))
    return grants


def with_apps(subject: Subject, scopes: tuple[ResourceScope, ...]) -> Subject:
    """Return the subject as the authenticator hands it over: with the apps that the request asks for."""
    if isinstance(subject, LicenseSubject):
        return subject
    slugs = policy.namespaces(scopes)
    if isinstance(subject, LicensesSubject) and not slugs:
        slugs = frozenset(license_.app for license_ in subject.licenses)
    return evolve(subject, apps={slug: app for slug in slugs if (app := app_of(slug))})


@cache
def scopes_of(text: str) -> tuple[ResourceScope, ...]:
    """Return what a token request with this scope asks for."""
    return merge_scopes([text]).scopes


def decided(cell: Cell) -> Answer:
    """Return what authsvc answers.

    Raises:
        AssertionError: it grants something else than the one resource that was asked for.
    """
    scopes = scopes_of(cell.scope)
    decision = policy.decide(with_apps(subject_of(cell.subject, cell.state), scopes), scopes, NOW)
    if decision.account is not None:
        assert decision.access == (), cell
        return Answer(DENIED)
    granted: set[str] = set()
    for entry in decision.access:
        asked = [scope for scope in scopes if (scope.type, scope.name) == (entry.type, entry.name)]
        assert [scope.resource_class for scope in asked] == [entry.resource_class], cell
        granted.update(entry.actions)
    return Answer(COUNTS, frozenset(granted))


@cache
def questions() -> tuple[tuple[Cell, Answer], ...]:
    """Return every cell that reaches the policy, with the table's answer."""
    answered = ((cell, ORACLE.answer(cell)) for cell in ORACLE.cells())
    return tuple((cell, answer) for cell, answer in answered if answer.account != UNAUTHORIZED)


def disagreements() -> Iterator[tuple[Cell, Answer, Answer]]:
    """Yield the cells that authsvc answers otherwise than the table, each with both answers."""
    for cell, expected in questions():
        actual = decided(cell)
        if expected != actual:
            yield cell, expected, actual
