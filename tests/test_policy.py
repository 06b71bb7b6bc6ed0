"""Who may do what: isolation, never more than asked, never more than entitled.

Each security property is one function over an implementation. It must hold for ours and must catch every broken twin
that is listed beside it: a property that catches nothing proves nothing.
"""

import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from authsvc.credentials.subject import LicenseSubject
from authsvc.decision import Decision
from authsvc.policy import RepositoryLocation, decide, locate, namespaces
from authsvc.refusal_sentences import denial_sentence
from authsvc.spec.scope import ResourceScope, merge_scopes
from authsvc.tenancy.records import Role
from tests.support.broken_twins import (
    Decide,
    Locate,
    Person,
    by_first_segment,
    by_name_prefix,
    by_prefix,
    case_blind,
    catalog_for_owners,
    domain_ignored,
    echo,
    everything_allowed,
    limits_forgotten,
    push_without_pull,
    star_echoed,
    state_forgotten,
    team_forgotten,
    tidied,
    trailing_newline,
)
from tests.support.builders import NOW, as_license, as_member, make_app, make_license, make_member

ACME, SIBLING = make_app("acme"), make_app("api")
EVIL, ARCHIVED = make_app("acme-evil", team="evil-team"), make_app("old", archived_at=NOW)
APPS = (ACME, SIBLING, EVIL, ARCHIVED)

CANONICAL = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+", re.ASCII)
"""Distribution's own expression for a path of two components or more."""

TWINS = [
    "acme", "acme/", "/acme/x", "acme//x", "acme/x/", "acme/./x", "acme/../b", "acme/../acme-evil/x", "acme-evil/x",
    "acmex/x", "acme.evil/x", "acme_evil/x", "acme-/x", "acme@evil/x", "Acme/x", "ACME/x", "acme/X", "acm\u0435/x",
    "\uff41cme/x", "acme\u200b/x", "acme:5000/x", "acme:5000/acme/x", "localhost:5000/acme/x", "acme.test/acme/x",
    "acme%2fx", "acme\\x", "acme/x\n", "acme\u0000/x", "acme/x?y", "acme*", "*", "**", "proxy", "proxy/acme",
    "proxy/acme/hub", "proxy/acme/../x", "Proxy/acme/hub/x", "proxy//acme/hub/x", "library/acme/x", "v2/acme/x", "",
    "acme/" + "a" * 251,
]  # fmt: skip
GOOD = ["acme/x", "acme/x/y", "acme/acme-evil", "api/x", "acme-evil/x", "old/x", "proxy/acme/hub/x", "proxy/api/hub/x",
        "proxy/acme-evil/hub/acme/x", "unknown/x", "acme/" + "a" * 250]  # fmt: skip
NAMES = st.sampled_from(TWINS + GOOD) | st.text("acme-evil/:.A_", max_size=14)


def holds(implementation: object, ours: object) -> Any:
    """Return the context in which a property runs: it must fail for whatever is not ours."""
    return nullcontext() if implementation is ours else pytest.raises(AssertionError)


def many(prop: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """Run ``prop`` on many examples; the first one that fails ends it."""
    found_is_enough = settings(max_examples=400, phases=[Phase.generate], database=None, derandomize=True)
    found_is_enough(given(strategy)(prop))()


# --- where a repository lies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "implementation", [locate, by_prefix, by_first_segment, case_blind, tidied, domain_ignored, trailing_newline]
)
def test_a_place_is_written_in_the_name(implementation: Locate) -> None:
    """A repository lies in app a iff its canonical name is a/<rest> or proxy/a/<upstream>/<rest>, letter by letter."""

    def prop(name: str) -> None:
        place = implementation(name)
        if place is None:
            return
        written = (
            [place.app, *place.rest] if place.upstream is None else ["proxy", place.app, place.upstream, *place.rest]
        )
        assert name == "/".join(written)
        assert place.rest
        assert CANONICAL.fullmatch(name)
        assert len(name) <= 255

    with holds(implementation, locate):
        many(prop, NAMES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme/x", RepositoryLocation("acme", ("x",))),
        ("acme/x/y", RepositoryLocation("acme", ("x", "y"))),
        ("acme/proxy/hub/x", RepositoryLocation("acme", ("proxy", "hub", "x"))),
        ("proxy/acme/hub/x", RepositoryLocation("acme", ("x",), "hub")),
        ("proxy/acme/hub/library/x", RepositoryLocation("acme", ("library", "x"), "hub")),
    ],
)
def test_places(name: str, expected: RepositoryLocation) -> None:
    """Native and pulled-through repositories are told apart."""
    assert expected == locate(name)


@pytest.mark.parametrize("name", [name for name in TWINS if not CANONICAL.fullmatch(name) or len(name) > 255])
def test_twins_lie_nowhere(name: str) -> None:
    """A look-alike that is not of the grammar belongs to no app."""
    assert locate(name) is None


def test_namespaces() -> None:
    """Only the apps of repositories are looked up in the store."""
    scopes = merge_scopes(["repository:acme/x:pull repository:proxy/api/hub/x:pull registry:catalog:* helm:x/y:pull"])

    assert frozenset({"acme", "api"}) == namespaces([*scopes.scopes, ResourceScope("repository", "a//b", ("pull",))])


# --- what is granted ---------------------------------------------------------------------------------------------

MEMBERS = [
    as_member(make_member(role, apps=apps), *APPS)
    for role in Role
    for apps in (None, ("acme",), ("api", "acme-evil"), ())
]
LICENSES = [
    as_license(make_license(repositories=patterns))
    for patterns in (None, (), ("x",), ("x/*", "proxy/hub/**"), ("**",), ("proxy/other/**",))
]
SUBJECTS: list[Person] = [*MEMBERS, *LICENSES]
ACTIONS = ("pull", "push", "delete", "*", "frob")
ACTION_SETS = [chosen for size in (1, 2, 3) for chosen in combinations(sorted(ACTIONS), size)]

SCOPES = st.builds(
    ResourceScope,
    st.sampled_from(["repository"] * 8 + ["registry", "helm"]),
    st.sampled_from([*GOOD, *TWINS, "catalog"]),
    st.sampled_from(ACTION_SETS),
    st.sampled_from([None] * 8 + ["plugin"]),
)
REQUESTS = st.tuples(
    st.sampled_from(SUBJECTS),
    st.lists(SCOPES, max_size=5, unique_by=lambda scope: (scope.type, scope.resource_class, scope.name)),
)


def entitled(subject: Person, scope: ResourceScope) -> set[str]:
    """Define what a subject may do, by the tables of the contract and by plain text."""
    native = re.fullmatch(r"(acme|api|acme-evil|old)/([a-z0-9-]{1,250}(?:/[a-z0-9-]{1,250})*)", scope.name)
    proxied = re.fullmatch(r"proxy/(acme|api|acme-evil|old)/hub/([a-z/]+)", scope.name)
    found = native or proxied
    if scope.type != "repository" or scope.resource_class is not None or not found:
        return set()
    if isinstance(subject, LicenseSubject):
        patterns, rest = subject.license.repositories, found[2]
        covered: dict[tuple[str, ...] | None, bool] = {
            None: bool(native), (): False, ("x",): bool(native) and rest == "x", ("**",): bool(native),
            ("x/*", "proxy/hub/**"): bool(proxied) or (rest.startswith("x/") and rest.count("/") == 1),
            ("proxy/other/**",): False,
        }  # fmt: skip
        return {"pull"} if found[1] == "acme" and covered[patterns] else set()
    member = subject.member
    if found[1] not in {"acme", "api"} or (member.apps is not None and found[1] not in member.apps):
        return set()
    rows = {Role.OWNER: {"pull", "push", "delete"}, Role.DEVELOPER: {"pull", "push"}, Role.VIEWER: {"pull"}}
    return rows[member.role] & {"pull"} if proxied else rows[member.role]


@pytest.mark.parametrize("implementation", [decide, echo, by_name_prefix, team_forgotten])
def test_isolation(implementation: Decide) -> None:
    """Every granted name is canonical and lies, letter by letter, in an app of the subject's own team."""

    def prop(example: tuple[Person, list[ResourceScope]]) -> None:
        for access in implementation(*example, NOW).access:
            parts = access.name.split("/")
            assert CANONICAL.fullmatch(access.name)
            assert (parts[1] if parts[0] == "proxy" else parts[0]) in {"acme", "api"}

    with holds(implementation, decide):
        many(prop, REQUESTS)


@pytest.mark.parametrize("implementation", [decide, everything_allowed, star_echoed])
def test_never_more_than_asked(implementation: Decide) -> None:
    """Each granted resource was asked for, with those actions, plus pull where push is granted."""

    def prop(example: tuple[Person, list[ResourceScope]]) -> None:
        asked = {(s.type, s.resource_class, s.name): set(s.actions) for s in example[1]}
        for access in implementation(*example, NOW).access:
            wanted = asked[access.type, access.resource_class, access.name]
            wanted |= {"pull", "push", "delete"} if "*" in wanted else set()
            implied = {"pull"} if "push" in access.actions else set()
            assert set(access.actions) <= (wanted - {"*"}) | implied

    with holds(implementation, decide):
        many(prop, REQUESTS)


@pytest.mark.parametrize(
    "implementation",
    [
        decide,
        echo,
        by_name_prefix,
        star_echoed,
        catalog_for_owners,
        team_forgotten,
        limits_forgotten,
        push_without_pull,
    ],
)
def test_exactly_what_is_asked_and_entitled(implementation: Decide) -> None:
    """For each resource: what was asked and is entitled, and pull beside push; nothing for what is neither."""

    def prop(example: tuple[Person, list[ResourceScope]]) -> None:
        subject, scopes = example
        expected = {}
        for scope in scopes:
            may = entitled(subject, scope)
            granted = may if "*" in scope.actions else may & set(scope.actions)
            granted = granted | (may & {"pull"} if "push" in granted else set())
            if granted:
                expected[scope.resource_class, scope.name] = tuple(sorted(granted))
        access = implementation(subject, scopes, NOW).access
        assert expected == {(entry.resource_class, entry.name): entry.actions for entry in access}
        assert {"repository"} >= {entry.type for entry in access}

    with holds(implementation, decide):
        many(prop, REQUESTS)


def test_every_cell() -> None:
    """Every subject on every name with every set of actions gets what the tables say: no cell is left to chance."""
    cells = [
        (subject, ResourceScope(kind, name, actions, plugin))
        for subject in SUBJECTS
        for kind, name, plugin in [
            *(("repository", name, None) for name in [*GOOD, *TWINS]),
            ("repository", "acme/x", "plugin"),
            ("registry", "catalog", None),
            ("registry", "acme/x", None),
            ("helm", "acme/x", None),
        ]
        for actions in ACTION_SETS
    ]
    wrong = []
    for subject, scope in cells:
        may = entitled(subject, scope)
        granted = may if "*" in scope.actions else may & set(scope.actions)
        granted = granted | (may & {"pull"} if "push" in granted else set())
        decision = decide(subject, [scope], NOW)
        if {action for entry in decision.access for action in entry.actions} != granted:
            wrong.append((subject, scope, decision))

    assert len(cells) > 20_000
    assert [] == wrong


@pytest.mark.parametrize("subject", [MEMBERS[0], LICENSES[0]])
def test_every_refusal_has_a_reason(subject: Person) -> None:
    """What was asked and not granted is told to the log, action by action, with a reason."""
    scopes = merge_scopes(["repository:acme/x:pull,push,frob", "repository:acme-evil/x:*", "registry:catalog:*"]).scopes
    decision = decide(subject, scopes, NOW)
    granted = {(entry.name, action) for entry in decision.access for action in entry.actions}
    asked = {(scope.name, action) for scope in scopes for action in scope.actions}

    assert asked - granted == {(r.scope.split(":")[1], r.action) for r in decision.refusals}
    assert all(refusal.reason for refusal in decision.refusals)


# --- whether the account counts at all ---------------------------------------------------------------------------

LATER, EARLIER = NOW + timedelta(days=2), NOW - timedelta(days=2)
WHO = "license c000000000000001 of Globex"
ASK = "contact sales@acme.test"


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        (as_member(make_member(disabled_at=EARLIER), ACME),
         "the account me@acme.test was disabled on 2026-07-30 12:00 UTC; ask an owner of acme-team"),
        (as_license(make_license(expires_at=NOW)), f"{WHO} expired on 2026-08-01 12:00 UTC; {ASK}"),
        (as_license(make_license(expires_at=datetime(2026, 1, 1, tzinfo=UTC))), f"{WHO} expired on 2026-01-01; {ASK}"),
        (as_license(make_license(not_before=LATER)), f"{WHO} begins on 2026-08-03 12:00 UTC; {ASK}"),
        (as_license(make_license(revoked_at=EARLIER)), f"{WHO} was revoked on 2026-07-30 12:00 UTC; {ASK}"),
        (as_license(make_license(archived_at=EARLIER)), f"{WHO} was revoked on 2026-07-30 12:00 UTC; {ASK}"),
        (as_license(make_license(revoked_at=EARLIER, contact=None)),
         f"{WHO} was revoked on 2026-07-30 12:00 UTC; ask the vendor"),
        (as_license(make_license(), make_app(archived_at=EARLIER)),
         f"the app acme was archived on 2026-07-30 12:00 UTC; {ASK}"),
    ],
    ids=["disabled", "expired now", "expired", "pending", "revoked", "archived", "no contact", "app archived"],
)  # fmt: skip
@pytest.mark.parametrize("implementation", [decide, state_forgotten])
def test_an_account_that_does_not_count(subject: Person, sentence: str, implementation: Decide) -> None:
    """It gets nothing, whatever it asks, and one sentence: what, since when, whom to ask."""
    scopes = merge_scopes(["repository:acme/x:*"]).scopes

    with holds(implementation, decide):
        decisions = [implementation(subject, asked, NOW) for asked in (scopes, ())]
        denials = [decision.account for decision in decisions if decision.account is not None]
        assert [sentence] * 2 == [denial_sentence(denial) for denial in denials]
        assert [Decision(account=denial) for denial in denials] == decisions


def test_the_end_of_the_right_ends_the_token() -> None:
    """A license's decision says when the right ends, a member's has no end."""
    license_ = make_license(expires_at=LATER)

    assert (LATER, None) == (decide(as_license(license_), [], NOW).ends_at, decide(MEMBERS[0], [], NOW).ends_at)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("repository:acme/x:pull", False), ("repository:acme/x:push", True), ("repository:acme/x:delete", True),
     ("registry:catalog:*", False)],
)  # fmt: skip
def test_what_counts_as_pushing(scope: str, expected: bool) -> None:
    """Only what changes the registry gets the longer life."""
    assert expected == decide(MEMBERS[0], merge_scopes([scope]).scopes, NOW).pushes
