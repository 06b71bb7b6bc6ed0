"""Several licenses in one password: together they get the union of what each in force gets, and nothing else.

What must come back is defined here by plain text comparisons; it uses nothing of :mod:`authsvc.policy`.
"""

from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from authsvc.credentials.subject import LicensesSubject
from authsvc.policy import decide
from authsvc.refusal_sentences import denial_sentence
from authsvc.spec.scope import ResourceScope, merge_scopes
from authsvc.tenancy.records import App, License
from tests.support.broken_twins import (
    DecideTogether,
    archived_apps_count,
    end_of_the_first,
    everybody_signs,
    last_end,
    never_denied,
    one_denies_all,
    patterns_pooled,
    revoked_contribute,
    union_with_push,
)
from tests.support.builders import NOW, make_app, make_license

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
APPS = {"acme": make_app("acme"), "tools": make_app("tools"), "rival": make_app("rival", team="rival-team")}
ARCHIVED = {slug: evolve(app, archived_at=NOW - DAY) for slug, app in APPS.items()}
STATES: tuple[dict[str, datetime | None], ...] = (
    *[{}] * 5,
    {"expires_at": NOW + INSTANT},
    {"expires_at": NOW},
    {"expires_at": NOW - DAY},
    {"not_before": NOW + INSTANT},
    {"revoked_at": NOW - DAY},
    {"archived_at": NOW - DAY},
)
"""Changes to a license that is in force; some leave it so."""

PATTERNS: tuple[tuple[str, ...] | None, ...] = (None, None, (), ("x",), ("y",), ("proxy/hub/z",))
ALTERNATIVES = ("acme/x", "acme/y", "tools/x", "rival/x", "rival/y", "acme-evil/x", "proxy/acme/hub/z", "Acme/x")


@frozen
class Expected:
    """What several licenses must get.

    Attributes:
        denied: ids of the licenses, any of which may be the one that denies the request.
        granted: the names on which pulling is granted.
        by: ids of the licenses that grant.
        ends_at: when the first of those ends.
    """

    denied: frozenset[str] = frozenset()
    granted: frozenset[str] = frozenset()
    by: frozenset[str] = frozenset()
    ends_at: datetime | None = None


def in_force(license_: License, apps: dict[str, App]) -> bool:
    """Whether the license counts at NOW."""
    begun = license_.not_before is None or license_.not_before <= NOW
    stopped = license_.revoked_at or license_.archived_at or apps[license_.app].archived_at
    return begun and NOW < license_.expires_at and not stopped


def covers(license_: License, name: str) -> bool:
    """Whether the license is for the repository, by its text."""
    proxied = name == f"proxy/{license_.app}/hub/z"
    if license_.repositories is None:
        return name in {f"{license_.app}/x", f"{license_.app}/y"}
    return (proxied and "proxy/hub/z" in license_.repositories) or name in {
        f"{license_.app}/{pattern}" for pattern in license_.repositories if pattern in {"x", "y"}
    }


def app_of(name: str) -> str:
    """Return the app in which the repository is, or a text that is none."""
    parts = name.split("/")
    return parts[1] if parts[0] == "proxy" else parts[0]


def expected(subject: LicensesSubject, scopes: list[ResourceScope]) -> Expected:
    """Return what must come back."""
    apps = dict(subject.apps)
    live = [one for one in subject.licenses if in_force(one, apps)]
    ended = [one for one in subject.licenses if one not in live]
    wanted = {scope.name for scope in scopes if {"pull", "*"} & set(scope.actions)}
    granted = {name for name in wanted if any(covers(one, name) for one in live)}
    by = [one for one in live if any(covers(one, name) for name in granted)]
    if granted:
        ids = frozenset(one.id for one in by)
        return Expected(granted=frozenset(granted), by=ids, ends_at=min(one.expires_at for one in by))
    if not scopes:
        return Expected() if live else Expected(denied=frozenset(one.id for one in ended))
    asked = {app_of(scope.name) for scope in scopes}
    return Expected(denied=frozenset(one.id for one in ended if one.app in asked))


def licenses() -> st.SearchStrategy[LicensesSubject]:
    """Return holders of up to eight licenses in any states, for apps of two vendors that may be archived."""
    one = st.builds(
        lambda app, patterns, changes, days: evolve(
            make_license(app=app, repositories=patterns, expires_at=NOW + DAY * days), **changes
        ),
        st.sampled_from(sorted(APPS)),
        st.sampled_from(PATTERNS),
        st.sampled_from(STATES),
        st.integers(1, 9),
    )
    apps = st.sampled_from([APPS] * 4 + [{**APPS, "acme": ARCHIVED["acme"]}])
    many = st.lists(one, min_size=1, max_size=8)
    return st.builds(
        lambda found, known: LicensesSubject(
            tuple(evolve(license_, id=f"c{number:015}") for number, license_ in enumerate(found)), known
        ),
        many,
        apps,
    )


SCOPES = st.lists(
    st.builds(
        lambda name, actions: ResourceScope("repository", name, actions),
        st.sampled_from(ALTERNATIVES),
        st.sampled_from([("pull",), ("pull",), ("*",), ("pull", "push"), ("delete",), ("push",)]),
    ),
    max_size=4,
    unique_by=lambda scope: scope.name,
)


def holds(implementation: DecideTogether) -> Any:
    """Return the context in which the property runs: it must fail for whatever is not ours."""
    return nullcontext() if implementation is decide else pytest.raises(AssertionError)


@pytest.mark.parametrize(
    "implementation",
    [
        decide,
        union_with_push,
        last_end,
        end_of_the_first,
        revoked_contribute,
        patterns_pooled,
        archived_apps_count,
        everybody_signs,
        one_denies_all,
        never_denied,
    ],
)
def test_together_they_get_the_union(implementation: DecideTogether) -> None:
    """What is granted, by whom, until when, or why not, is what the plain rules say; nothing but pull is granted."""

    def prop(subject: LicensesSubject, scopes: list[ResourceScope]) -> None:
        must, decision = expected(subject, scopes), implementation(subject, scopes, NOW)
        assert (decision.account is not None) == bool(must.denied)
        assert {(name, ("pull",)) for name in must.granted} == {(e.name, e.actions) for e in decision.access}
        if must.granted:
            assert must.by == set(decision.licenses)
            assert must.ends_at == decision.ends_at
        if must.denied:
            assert {decision.licenses} <= {(one,) for one in must.denied}

    enough = settings(max_examples=1500, phases=[Phase.generate], database=None, derandomize=True)
    with holds(implementation):
        enough(given(licenses(), SCOPES)(prop))()


ACME, TOOLS = make_license("c1", expires_at=NOW + DAY), make_license("c2", app="tools", expires_at=NOW + 2 * DAY)
NEWEST = make_license("c3", app="tools", issued_at=NOW - DAY, expires_at=NOW - INSTANT)


def decided(*each: License, asked: str = "", unchecked: bool = False) -> Any:
    """Return what the licenses get of a scope."""
    return decide(LicensesSubject(each, APPS, unchecked=unchecked), merge_scopes([asked]).scopes, NOW)


def test_who_the_token_is_of() -> None:
    """The licenses that granted, and no other, are the subject; a sign-in is of all that are in force."""
    subject = LicensesSubject((ACME, TOOLS, NEWEST), APPS)
    scopes = ["repository:tools/x:pull", "repository:acme/x:pull repository:tools/x:pull", "", "registry:catalog:*"]
    subjects = [decided(*subject.licenses, asked=scope).holder(subject).id for scope in scopes]

    assert ["license:c2", "license:c1,c2", "license:c1,c2", "license:c1,c2,c3"] == subjects


def test_what_is_not_for_the_app_stays_out_of_it() -> None:
    """When nothing is granted the subject names the licenses for the apps asked for, not another vendor's."""
    subject = LicensesSubject((ACME, TOOLS), APPS)

    assert "license:c1" == decided(ACME, TOOLS, asked="repository:acme/x:push").holder(subject).id


def test_the_newest_license_says_why() -> None:
    """Of several licenses that are not in force the one that was issued last explains the denial."""
    old = make_license("c4", app="tools", revoked_at=NOW)
    for asked in ("", "repository:tools/x:pull"):
        decision = decided(old, NEWEST, asked=asked)
        assert decision.account is not None
        assert denial_sentence(decision.account).startswith("license c3 of Globex expired on ")
        assert ("c3",) == decision.licenses


@pytest.mark.parametrize(
    ("each", "asked", "unanswered"),
    [
        ((ACME,), "repository:acme/x:pull", False),
        ((ACME,), "", False),
        ((ACME,), "repository:tools/x:pull", True),
        ((NEWEST,), "repository:tools/x:pull", True),
        ((NEWEST,), "", True),
        ((NEWEST, ACME), "repository:acme/x:pull repository:tools/x:pull", False),
    ],
)
def test_what_could_not_be_checked_might_have_granted_it(
    each: tuple[License, ...], asked: str, unanswered: bool
) -> None:
    """Only when nothing is granted does a license that could not be checked leave the request without an answer."""
    assert unanswered == decided(*each, asked=asked, unchecked=True).unanswered
    assert not decided(*each, asked=asked).unanswered
