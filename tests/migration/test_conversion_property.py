"""Whatever the configuration: nobody may do more than before, and where the report says so, exactly as much."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject, Subject
from authsvc.decision import DELETE, PULL, PUSH
from authsvc.installer.yaml_nodes import documents
from authsvc.migration import account_grants, name_region
from authsvc.migration.conversion import convert
from authsvc.migration.document import DockerAuthConfiguration
from authsvc.migration.plan import MigratedAccount, MigrationOptions, MigrationPlan
from authsvc.policy import decide
from authsvc.spec.scope import ResourceScope
from tests.support.builders import NOW, make_app, make_member, make_service_account
from tests.support.docker_auth import Asked, allowed

ACCOUNTS = ("alice@acme.test", "bob", "ci-bot", "acme")
APPS = ("acme", "globex", "ac-me")
NAMES = tuple(
    f"{app}/{rest}" for app in APPS for rest in ("api", "web", "api/v1", "web-1", "a/b/c", "proxy/hub", "api.x")
)
IPS = ("127.0.0.1", "198.51.100.7")
ALL = frozenset({PULL, PUSH, DELETE})

globs = st.sampled_from(
    [
        *("acme/*", "acme/api", "acme/**", "acme/*/*", "*/api", "*", "*/*", "ac*/web*", "globex/a?i", "acme/we[bc]"),
        *("${account}/*", "${name}", "${labels:group}/*", "globex/api/*", "acme/*/v1", "a*e/*", "Acme/*", "acme/a*"),
        *(
            "acme/proxy/*",
            r"globex\/web",
            "acme/",
            "*/*/*/*",
            "globex/[^a]pi",
            "acme/*pi",
            "ac-me/web-*",
            "acme/${account}",
        ),
    ]
)
regexes = st.sampled_from(
    [
        *("/^acme\\/.*/", "/^globex\\/.+$/", "/^acme/", "/api/", "/.*/", "/^acme\\/api$/", "/^(acme|globex)\\/.*$/"),
        *("/^acme\\/api\\//", "/^ac.me\\//", "/^acme\\/api\\.x$/", "/^ac-me\\/.*$/"),
    ]
)
accounts = st.sampled_from(
    [
        *("alice@acme.test", "bob", "ci-bot", "*", "b*", "?ob", "/.+/", "/^(bob|acme)$/", "/@acme\\.test$/", ""),
        *("nobody", "/^.*$/", "[ab]ob", "/^b.?b$/", "/(x+)+y/", "${account}"),
    ]
)
actions = st.one_of(
    st.just(["*"]),
    st.lists(st.sampled_from([PULL, PUSH, DELETE, "*", "read"]), max_size=3, unique=True),
    st.sampled_from([[PULL], [PULL, PUSH], [PULL, PUSH, DELETE], []]),
)
matches = st.fixed_dictionaries(
    {},
    optional={
        "account": accounts,
        "name": st.one_of(globs, globs, regexes),
        "type": st.sampled_from(["repository", "repository", "repo*", "registry", "/^repo/"]),
    },
)
limited = st.fixed_dictionaries(
    {},
    optional={
        "account": accounts,
        "name": globs,
        "ip": st.sampled_from(["127.0.0.0/8", "198.51.100.7"]),
        "labels": st.just({"group": "dev"}),
        "service": st.sampled_from(["registry", "other"]),
    },
)
entries = st.builds(
    lambda match, actions: {"match": match, "actions": actions}, st.one_of(matches, matches, matches, limited), actions
)
acls = st.lists(entries, max_size=6)


def plan_of(acl: list[dict[str, Any]]) -> MigrationPlan:
    """Convert a configuration with this ACL; JSON is YAML."""
    users = {account: {"password": "$2y$05$" + "x" * 53} for account in ACCOUNTS}
    (root,) = documents(json.dumps({"users": users, "acl": acl}))
    configuration = DockerAuthConfiguration.read(root)
    assert configuration.problems == []
    return convert(configuration, MigrationOptions(apps=APPS))


def subject_of(one: MigratedAccount) -> Subject:
    """Return who the account is afterwards."""
    apps = {app: make_app(app) for app in APPS}
    if one.email is None:
        return ServiceAccountSubject(make_service_account(*one.grants), apps, None)
    assert one.role is not None
    return MemberSubject(make_member(email=one.email, role=one.role, apps=one.apps), apps)


def may(one: MigratedAccount, name: str) -> frozenset[str]:
    """Return what the account may do afterwards: of everything that is asked for, and of each action alone."""
    subject, found = subject_of(one), frozenset[str]()
    for asked in (tuple(ALL), *((action,) for action in ALL)):
        for access in decide(subject, [ResourceScope("repository", name, asked)], NOW).access:
            found |= frozenset(access.actions)
    return found


def check(acl: list[dict[str, Any]]) -> None:
    """Compare before and after for every account, name and circumstances."""
    plan = plan_of(acl)
    made = {one.account: one for one in plan.accounts}
    for account in ACCOUNTS:
        one = made.get(account)
        for name in NAMES:
            after = frozenset[str]() if one is None else may(one, name)
            for ip in IPS:
                for labels in ({}, {"group": ["dev"]}):
                    before = allowed(acl, Asked(account, name, ip, "registry", labels), ALL)
                    assert after <= before, (account, name, ip, labels)
                    if one is not None and one.exact:
                        assert after == before, (account, name, ip, labels)


@given(acl=acls)
def test_nobody_may_do_more_than_before(acl: list[dict[str, Any]]) -> None:
    """And what the report calls exact is exact, for every address and label that a request may come with."""
    check(acl)


DENIED_FIRST = [
    {"match": {"account": "bob", "name": "acme/*"}, "actions": []},
    {"match": {"account": "bob"}, "actions": [PULL]},
]
BY_ADDRESS = [
    {"match": {"ip": "127.0.0.0/8"}, "actions": []},
    {"match": {"account": "bob", "name": "acme/*"}, "actions": [PULL]},
]
PUSH_ALONE = [{"match": {"account": "bob", "name": "acme/*"}, "actions": [PUSH]}]
ESCAPED = [
    {"match": {"account": "bob", "name": r"globex\/web"}, "actions": []},
    {"match": {}, "actions": ["*"]},
]
DEEP = [{"match": {"account": "bob", "name": "acme/**"}, "actions": [PULL]}]


@pytest.mark.parametrize("acl", [DENIED_FIRST, BY_ADDRESS, PUSH_ALONE, ESCAPED, DEEP])
def test_known_traps(acl: list[dict[str, Any]]) -> None:
    """Each is one way to grant too much."""
    check(acl)


def _no_order(grants: account_grants.AppGrants, one: account_grants.AppliedEntry, _earlier: object) -> frozenset[str]:
    return one.actions


def _order_without_push(
    self: account_grants.AppGrants,
    one: account_grants.AppliedEntry,
    earlier: list[account_grants.AppliedEntry],
) -> frozenset[str]:
    allowed = one.actions
    for before in earlier:
        if before.region.overlaps(one.region):
            allowed &= before.actions
    return allowed


def test_a_conversion_that_ignores_the_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With grants that only add up, an earlier denial and one that depends on the address would be lost."""
    monkeypatch.setattr(account_grants.AppGrants, "_allowed", _no_order)
    for acl in (DENIED_FIRST, BY_ADDRESS):
        with pytest.raises(AssertionError):
            check(acl)


def test_a_conversion_of_push_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may push may pull here."""
    monkeypatch.setattr(account_grants.AppGrants, "_allowed", _order_without_push)
    with pytest.raises(AssertionError):
        check(PUSH_ALONE)


def test_two_stars_that_reach_deeper_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """``**`` is no more than ``*`` to docker_auth, and any depth to a grant."""
    monkeypatch.setattr(name_region.NameRegion, "pattern", lambda region: "/".join(region.components) + "*")
    with pytest.raises(AssertionError):
        check(DEEP)
