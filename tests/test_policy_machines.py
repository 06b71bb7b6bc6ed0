"""Who may do what, for machines: service accounts, personal tokens and refresh tokens."""

from datetime import timedelta
from itertools import product

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject
from authsvc.policy import decide
from authsvc.refusal_sentences import denial_sentence, refusal_sentence
from authsvc.spec.scope import ResourceScope, merge_scopes
from authsvc.tenancy.machine_records import Grant, ServiceAccount
from authsvc.tenancy.records import Member, Role
from tests.support.builders import (
    NOW,
    as_member,
    make_app,
    make_member,
    make_personal_token,
    make_refresh_token,
    make_service_account,
)

APPS = {
    app.slug: app
    for app in (
        make_app("acme"),
        make_app("api"),
        make_app("acme-evil", team="evil-team"),
        make_app("old", archived_at=NOW),
    )
}
NAMES = [
    "acme/x",
    "acme/x/y",
    "api/x",
    "acme-evil/x",
    "old/x",
    "unknown/x",
    "proxy/acme/hub/x",
    "acme",
    "Acme/x",
    "acme//x",
]
GRANTS = st.builds(
    Grant,
    st.sampled_from(["acme", "api", "acme-evil", "old", "unknown"]),
    st.sampled_from(["x", "*", "**", "x/**", "proxy/hub/**"]),
    st.sampled_from([("pull",), ("pull", "push"), ("delete", "pull", "push"), ("delete",), ("push",)]),
)
CREATORS = st.sampled_from(
    [
        None,
        *(make_member(role, apps=apps) for role, apps in product(Role, (None, ("acme",), ()))),
        make_member(team="evil-team"),
    ]
)
SCOPES = st.lists(
    st.builds(
        ResourceScope,
        st.just("repository"),
        st.sampled_from(NAMES),
        st.sampled_from([("pull",), ("pull", "push"), ("*",), ("delete",)]),
    ),
    max_size=4,
    unique_by=lambda scope: scope.name,
)


def granted(subject: MemberSubject | ServiceAccountSubject, scopes: list[ResourceScope]) -> set[tuple[str, str]]:
    """Return what ``subject`` gets, as pairs of name and action."""
    return {(entry.name, action) for entry in decide(subject, scopes, NOW).access for action in entry.actions}


def machine(account: ServiceAccount, creator: Member | None = None) -> ServiceAccountSubject:
    """Return a service account, proven."""
    return ServiceAccountSubject(account, APPS, creator)


@given(st.lists(GRANTS, max_size=4), CREATORS, SCOPES)
def test_never_more_than_its_creator(grants: list[Grant], creator: Member | None, scopes: list[ResourceScope]) -> None:
    """What a service account gets its creator would get too, now; without grants it gets nothing (threat 13)."""
    got = granted(machine(make_service_account(*grants), creator), scopes)

    assert {name.split("/")[1 if name.startswith("proxy/") else 0] for name, _ in got} <= {"acme", "api"}
    assert got <= granted(as_member(make_member(), *APPS.values()), scopes)
    assert creator is None or got <= granted(MemberSubject(creator, APPS), scopes)
    assert grants or not got


@given(st.lists(GRANTS, max_size=3), GRANTS, SCOPES)
def test_a_grant_only_adds(grants: list[Grant], more: Grant, scopes: list[ResourceScope]) -> None:
    """Another grant takes nothing away, and gives only its own actions in its own app."""
    before = granted(machine(make_service_account(*grants)), scopes)
    after = granted(machine(make_service_account(*grants, more)), scopes)

    assert before <= after
    assert {action for _, action in after - before} <= {*more.actions, "pull"}
    assert {more.app} >= {name.split("/")[1 if name.startswith("proxy/") else 0] for name, _ in after - before}


@pytest.mark.parametrize(
    ("creator", "expected"),
    [
        (None, {"delete", "pull", "push"}),
        (make_member(Role.OWNER), {"delete", "pull", "push"}),
        (make_member(Role.DEVELOPER), {"pull", "push"}),
        (make_member(Role.VIEWER), {"pull"}),
        (make_member(apps=("api",)), set()),
        (make_member(team="evil-team"), set()),
    ],
    ids=["operator", "owner", "developer", "viewer", "limited", "moved"],
)
def test_the_creator_bounds(creator: Member | None, expected: set[str]) -> None:
    """A creator who may less by now leaves less to what they made."""
    subject = machine(make_service_account(Grant("acme", "**", ("delete", "pull", "push"))), creator)

    assert {("acme/x", action) for action in expected} == granted(
        subject, list(merge_scopes(["repository:acme/x:*"]).scopes)
    )


@pytest.mark.parametrize("app", ["acme-evil", "old", "unknown"])
def test_a_grant_of_the_operator_needs_an_app_of_the_team(app: str) -> None:
    """A grant in another team's, an archived or an unknown app gives nothing, also when no creator bounds it."""
    subject = machine(make_service_account(Grant(app, "**", ("delete", "pull", "push"))))

    assert set() == granted(subject, list(merge_scopes([f"repository:{app}/x:*"]).scopes))


def test_push_implies_pull() -> None:
    """A grant of push alone gives pull beside it on our own registry, and nothing on another one's images."""
    subject = machine(make_service_account(Grant("acme", "**", ("push",)), Grant("acme", "proxy/hub/**", ("push",))))
    scopes = list(merge_scopes(["repository:acme/x:push repository:proxy/acme/hub/x:pull"]).scopes)

    assert {("acme/x", "pull"), ("acme/x", "push")} == granted(subject, scopes)


def test_the_reason_is_the_right_one() -> None:
    """A refusal blames the creator only for what the creator may not, and the grant for what it does not give."""
    viewer, owner = make_member(Role.VIEWER), make_member()
    scopes = merge_scopes(["repository:acme/x:pull,push"]).scopes
    both, pull = Grant("acme", "x", ("pull", "push")), Grant("acme", "x", ("pull",))
    refusals = [
        decide(machine(make_service_account(grant), creator), scopes, NOW).refusals
        for grant, creator in ((both, viewer), (pull, owner), (pull, viewer), (pull, None))
    ]

    assert [
        "the account's creator me@acme.test may not do that here",
        *["push is not among pull"] * 3,
    ] == [refusal_sentence(refusal) for (refusal,) in refusals]


ACCOUNT = make_service_account(Grant("acme", "**", ("pull",)))
EARLIER = NOW - timedelta(days=1)
SINCE = "2026-07-31 12:00 UTC"
WHO, ASK = "the service account deployer", "ask an owner of acme-team"
RENEW = "create a new one, or ask an owner of acme-team"


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        (machine(evolve(ACCOUNT, revoked_at=EARLIER)), f"{WHO} was revoked on {SINCE}; {ASK}"),
        (machine(evolve(ACCOUNT, disabled_at=EARLIER)), f"{WHO} was disabled on {SINCE}; {ASK}"),
        (machine(evolve(ACCOUNT, expires_at=EARLIER)), f"{WHO} expired on {SINCE}; {ASK}"),
        (machine(ACCOUNT, make_member(disabled_at=EARLIER)),
         f"{WHO} ended when its creator left on {SINCE}; {ASK}"),
        (machine(ACCOUNT, make_member(removed_at=EARLIER)),
         f"{WHO} ended when its creator left on {SINCE}; {ASK}"),
        (MemberSubject(make_member(), APPS, make_personal_token(revoked_at=EARLIER)),
         f"the token ci of me@acme.test was revoked on {SINCE}; {RENEW}"),
        (MemberSubject(make_member(), APPS, make_personal_token(expires_at=NOW)),
         f"the token ci of me@acme.test expired on 2026-08-01 12:00 UTC; {RENEW}"),
        (MemberSubject(make_member(disabled_at=EARLIER), APPS, make_personal_token()),
         f"the account me@acme.test was disabled on {SINCE}; {ASK}"),
        (MemberSubject(make_member(disabled_at=EARLIER), APPS, make_refresh_token()),
         f"the account me@acme.test was disabled on {SINCE}; {ASK}"),
    ],
    ids=["revoked", "disabled", "expired", "creator disabled", "creator removed", "token revoked", "token expired",
         "member disabled", "member disabled, refresh"],
)  # fmt: skip
def test_an_account_that_does_not_count(subject: MemberSubject | ServiceAccountSubject, sentence: str) -> None:
    """A machine whose account or owner does not count gets nothing, and one sentence that says why."""
    decision = decide(subject, merge_scopes(["repository:acme/x:pull"]).scopes, NOW)

    assert decision.account is not None
    assert ((), sentence) == (decision.access, denial_sentence(decision.account))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (machine(evolve(ACCOUNT, expires_at=NOW + timedelta(hours=1))), NOW + timedelta(hours=1)),
        (
            MemberSubject(make_member(), APPS, make_personal_token(expires_at=NOW + timedelta(hours=1))),
            NOW + timedelta(hours=1),
        ),
        (machine(ACCOUNT), None),
        (MemberSubject(make_member(), APPS, make_refresh_token()), None),
    ],
    ids=["service account", "personal token", "endless account", "refresh token"],
)
def test_the_end_of_the_right(subject: MemberSubject | ServiceAccountSubject, expected: object) -> None:
    """No registry token outlives the account or the token that it was given for."""
    assert expected == decide(subject, (), NOW).ends_at
