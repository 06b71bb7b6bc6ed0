"""What configurations of docker_auth become: the forms that its project publishes, and each kind of account."""

import json
from typing import Any

import pytest

from authsvc.errors import InputRefused
from authsvc.installer.yaml_nodes import documents
from authsvc.migration.conversion import MAX_APPS, convert
from authsvc.migration.document import DockerAuthConfiguration
from authsvc.migration.plan import MigrationOptions, MigrationPlan
from tests.support.docker_auth_files import ANONYMOUS, HASH, LDAP, REFERENCE, SIMPLE, VENDOR

Entry = dict[str, Any]


def plan_of(text: str, **options: Any) -> MigrationPlan:
    """Convert a configuration."""
    (root,) = documents(text)
    found = DockerAuthConfiguration.read(root)
    assert found.problems == []
    return convert(found, MigrationOptions(**options))


def plan_for(account: str, *acl: Entry, **options: Any) -> MigrationPlan:
    """Convert an ACL for one user."""
    return plan_of(json.dumps({"users": {account: {"password": HASH}}, "acl": acl}), **options)


def entry(*actions: str, **match: str) -> Entry:
    """Return an entry."""
    return {"match": match, "actions": list(actions)}


def accounts_of(plan: MigrationPlan) -> list[tuple[object, ...]]:
    """Return what the accounts become: who, what, with which rights, and whether exactly as before."""
    return [
        (
            one.account,
            one.email or one.name,
            None if one.role is None else str(one.role),
            " ".join(grant.render() for grant in one.grants),
            one.exact,
        )
        for one in plan.accounts
    ]


def told(plan: MigrationPlan, kind: str | None = None) -> list[tuple[int, str]]:
    """Return the line and the sentence of what is not as it was."""
    return [(one.line, one.text) for one in plan.problems if kind in {None, one.kind}]


def test_the_simple_example() -> None:
    """The one who may do everything may do so in the apps that are named; whom nobody can be is said."""
    plan = plan_of(SIMPLE, apps=("shop", "web"))

    assert accounts_of(plan) == [("admin", "admin", None, "shop/**:delete,pull,push web/**:delete,pull,push", True)]
    assert [line for line, _ in told(plan, "note")] == [6, 9, 12, 12]
    assert told(plan, "not_converted") == []


def test_a_file_that_names_no_namespace() -> None:
    """Nothing is made until the apps are named."""
    plan = plan_of(SIMPLE)

    assert (plan.apps, plan.accounts) == ((), ())
    assert any("name them with --app" in text for _, text in told(plan, "not_converted"))


def test_the_reference_example() -> None:
    """Whatever has no equivalent is reported by its line, once, and lets nobody in."""
    plan = plan_of(REFERENCE, apps=("shop",))

    assert accounts_of(plan) == [("admin", "admin", None, "shop/**:delete,pull,push", False)]
    lines = dict(told(plan))
    for line, words in {
        8: "do not sign in",
        9: "google_auth",
        10: "github_auth",
        11: "ldap_auth",
        12: "mongo_auth",
        13: "ext_auth",
        15: "address of the client",
        20: "'test-*'",
        24: "named like the account",
        26: "nobody gets the catalog",
        30: "do not sign in",
        38: "acl_mongo",
        39: "ext_authz",
    }.items():
        assert words in lines[line], line
    assert len(told(plan)) == len(set(told(plan)))


def test_accounts_that_are_elsewhere() -> None:
    """There is nobody to convert; the file does not say who they are."""
    plan = plan_of(LDAP, apps=("shop",))

    assert plan.accounts == ()
    assert any("ldap_auth" in text for _, text in told(plan, "not_converted"))


def test_accounts_that_only_the_acl_names() -> None:
    """With others than users to sign in, whoever is named there is an account; without, nobody is."""
    acl = [entry("pull", account="ann@vendor.test", name="shop/*"), entry("pull", account="b*", name="shop/*")]
    elsewhere = plan_of(json.dumps({"ldap_auth": {}, "acl": acl}))
    nobody = plan_of(json.dumps({"users": {"c": {"password": HASH}}, "acl": acl}))

    assert [one.account for one in elsewhere.accounts] == ["ann@vendor.test"]
    assert nobody.accounts == ()
    assert any("is not one of users" in text for _, text in told(nobody, "note"))


def test_pulls_without_a_sign_in() -> None:
    """They are refused here, and the report says so by line."""
    plan = plan_of(ANONYMOUS, apps=("shop",))

    assert plan.accounts == ()
    assert [line for line, _ in told(plan, "not_converted")] == [2, 4]


def test_people_and_machines_of_a_vendor() -> None:
    """Whole apps with one set of actions are a role; anything else is grants."""
    plan = plan_of(VENDOR.replace("APP", "shop"))

    assert plan.apps == ("shop",)
    # The last entry, by address, lets those pull whom an earlier one does not let do everything.
    assert accounts_of(plan) == [
        ("alice@vendor.test", "alice@vendor.test", "owner", "shop/**:delete,pull,push", True),
        ("dora@vendor.test", "dora@vendor.test", "developer", "shop/**:pull,push", True),
        ("ci_build", "ci-build", None, "shop/*:pull,push", False),
        ("customer", "customer", None, "shop/worker:pull", False),
    ]
    assert [one.accounts for one in plan.problems if "address" in one.text] == [("ci_build", "customer")]


@pytest.mark.parametrize(
    ("options", "email", "name"),
    [
        ({}, None, "bob"),
        ({"emails": (("bob", "Bob@Vendor.test"),)}, "bob@vendor.test", None),
        ({"email_domain": "vendor.test"}, "bob@vendor.test", None),
        ({"email_domain": "vendor.test", "machines": frozenset({"bob"})}, None, "bob"),
        ({"email_domain": "not a domain"}, None, "bob"),
    ],
)
def test_who_is_a_person(options: dict[str, Any], email: str | None, name: str | None) -> None:
    """An account with an address, by its name or by an option."""
    (one,) = plan_for("bob", entry("pull", account="bob", name="/^shop\\/.*$/"), **options).accounts

    assert (one.email, one.name) == (email, name)


@pytest.mark.parametrize(
    "options", [{"emails": (("eve", "eve@vendor.test"),)}, {"machines": frozenset({"eve"})}, {"apps": ("v2",)}]
)
def test_an_option_that_fits_nothing(options: dict[str, Any]) -> None:
    """A typing error in an option is not passed over."""
    with pytest.raises(InputRefused):
        plan_for("bob", entry("pull", account="bob", name="shop/*"), **options)


def test_a_person_whose_rights_no_role_has() -> None:
    """One level of an app is less than the app: a role would be more than before."""
    plan = plan_for("ann@vendor.test", entry("pull", account="ann@vendor.test", name="shop/*"))

    assert accounts_of(plan) == [("ann@vendor.test", "ann-vendor-test", None, "shop/*:pull", True)]
    assert any("no role has" in text for _, text in told(plan, "note"))


@pytest.mark.parametrize(
    ("acl", "grants", "exact"),
    [
        # The first match decides.
        ([entry(name="shop/secret"), entry("pull", name="shop/*")], "", False),
        ([entry("pull", name="shop/secret"), entry("pull", "push", name="shop/*")], "shop/*:pull", False),
        ([entry("*", name="shop/*"), entry("pull")], "shop/*:delete,pull,push shop/**:pull", True),
        ([entry("pull"), entry("*", name="shop/*")], "shop/**:pull", True),
        ([entry(), entry("*", name="shop/*")], "", True),
        ([entry(name="shop/secret"), entry("pull", name="shop/api")], "shop/api:pull", True),
        ([entry(ip="10.0.0.1"), entry("pull", name="shop/*")], "", False),
        ([entry("*", ip="10.0.0.1"), entry("pull", name="shop/*")], "shop/*:pull", False),
        # Only one app of several is concerned.
        ([entry(name="secret/*"), entry("pull", name="/.*/")], "shop/**:pull", False),
        # Names.
        ([entry("pull", name="shop/**")], "shop/*:pull", True),
        ([entry("pull", name="/^shop\\/api\\/.+$/")], "shop/api/**:pull", True),
        ([entry("pull", name="shop/a?i")], "", False),
        ([entry("pull", name="shop/[ab]pi")], "", False),
        ([entry("pull", name="shop/proxy/*")], "", False),
        ([entry("pull", name="Shop/api")], "", True),
        # Actions.
        ([entry("push", name="shop/*")], "", False),
        ([entry("push", "delete", name="shop/*")], "shop/*:delete", False),
        ([entry("pull", "*", name="shop/*")], "shop/*:pull", True),
        ([entry("read", name="shop/*")], "", True),
    ],
)
def test_grants_of_an_acl(acl: list[Entry], grants: str, exact: bool) -> None:
    """What an ACL gives in the app; what is not exact is said."""
    plan = plan_for("bob", *acl, apps=("shop",))
    found = [grant.render() for one in plan.accounts for grant in one.grants]

    assert " ".join(text for text in found if text.startswith("shop/")) == grants
    if plan.accounts:
        assert plan.accounts[0].exact is exact
    assert exact or any(one.kind in {"not_converted", "narrowed"} for one in plan.problems)


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"account": "bob", "name": "library/*"}, "'library' is reserved"),
        ({"account": "bob", "name": "my_app/*"}, "'my_app' cannot name an app"),
        ({"account": "/(b+)+ob/"}, "not simple enough"),
        ({"account": "[ab]ob"}, "not simple enough"),
        ({"acount": "bob"}, "the unknown key 'acount'"),
        ({"account": "bob", "service": "x"}, "the name of the service"),
        ({"account": "bob", "name": "${labels:group}/*"}, "the variables"),
        ({"account": "bob", "name": "/^(a|b)\\/.*$/"}, "the regular expression"),
    ],
)
def test_what_has_no_equivalent_is_said(match: dict[str, str], words: str) -> None:
    """With its line, and it gives nothing."""
    plan = plan_for("bob", {"match": match, "actions": ["pull"]}, apps=("shop",))

    assert plan.accounts == ()
    assert any(words in text for _, text in told(plan, "not_converted"))


def test_two_accounts_that_would_become_one() -> None:
    """The second one is left out: neither gets the rights of the other."""
    users = {name: {"password": HASH} for name in ("ci_build", "ci-build", "Ann@vendor.test", "ann@vendor.test")}
    acl = [entry("pull", name="/^shop\\/.*$/")]
    plan = plan_of(json.dumps({"users": users, "acl": acl}))

    assert [one.account for one in plan.accounts] == ["ci_build", "Ann@vendor.test"]
    assert len([text for _, text in told(plan, "not_converted") if "becomes" in text]) == 2


@pytest.mark.parametrize("name", ["", "é", "_", "a" * 61])
def test_an_account_whose_name_no_service_account_can_have(name: str) -> None:
    """It is left out with the rule; the empty one is nobody."""
    assert plan_for(name, entry("pull", name="shop/*")).accounts == ()


def test_users_without_a_password_or_a_value() -> None:
    """The first were let in with any password, the others never."""
    acl = [entry("pull", name="shop/*")]
    plan = plan_of(json.dumps({"users": {"a1": {}, "b1": None, "c1": {"password": None}}, "acl": acl}))

    assert [one.account for one in plan.accounts] == ["a1", "c1"]
    notes = [text for _, text in told(plan, "note")]
    assert ["any password" in text or "never let it in" in text for text in notes] == [True] * 3


def test_too_much_for_one_conversion() -> None:
    """Namespaces and grants have limits, and each says what it is."""
    many = [entry("pull", name=f"app-{number}/*") for number in range(MAX_APPS + 1)]
    with pytest.raises(InputRefused, match="201 namespaces"):
        plan_for("bob", *many)

    assert any("at most 100" in text for _, text in told(plan_for("bob", *many[:101])))
    assert len(plan_for("bob", *many[:100]).accounts[0].grants) == 100


def test_a_file_that_would_take_for_ever() -> None:
    """Comparisons of entries are counted over the whole file."""
    users = {f"u{number}": {"password": HASH} for number in range(300)}
    acl = [entry("pull", name=f"shop/{'a' * (number % 50 + 1)}{number}") for number in range(1000)]
    with pytest.raises(InputRefused, match="split the file"):
        plan_of(json.dumps({"users": users, "acl": acl}))
