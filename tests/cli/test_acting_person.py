"""``--as EMAIL``: the audit names the person beside the operator, whose permissions stay the same."""

import json

import pytest

from tests.support.command import call, sentence
from tests.support.stack import PASSWORD, Ran, Stack
from tests.support.tenants import make_team, unique


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app; its team has the same slug."""
    slug = unique("acted")
    make_team(stack, slug, slug=slug)
    return slug


@pytest.fixture(scope="session")
def ann(stack: Stack, app: str) -> str:
    """Return the address of a viewer of the team."""
    return add(stack, app, f"ann@{app}.test")


def add(stack: Stack, team: str, email: str) -> str:
    """Add a viewer and return the address."""
    stack.authsvc("member", "add", email, "--team", team, "--role", "viewer", "--password-stdin", stdin=PASSWORD)
    return email


def command(stack: Stack, *arguments: str) -> Ran:
    """Run one command."""
    return call(*arguments, "--data-dir", str(stack.data_dir))


def test_the_audit_names_the_person_and_the_permissions_are_the_operators(stack: Stack, app: str, ann: str) -> None:
    """A viewer could not do this; the operator does it for her, and list and explanation say both."""
    member = next(m for m in stack.json("member", "list", "--team", app) if m["email"] == ann)
    assert member["passkeys"] == 0
    license_ = stack.json("license", "create", "--app", app, "--customer", "Initech", "--expires", "90d", "--as", ann)
    subject = f"license:{license_['id']}"
    (entry,) = stack.json("audit", "list", "--subject", subject)

    person = {"member": member["id"], "email": ann, "team": app}
    assert ("system:authsvc", person) == (entry["actor"], entry["on_behalf_of"])
    assert f"system:authsvc for {ann}: " in command(stack, "audit", "list", "--subject", subject).out
    assert f"license.created, by system:authsvc for {ann}." in command(stack, "audit", "explain", entry["id"]).out
    for option in ("--actor", "--subject"):
        found = stack.json("audit", "list", option, f"member:{member['id']}", "--event", "license")
        assert [entry["id"]] == [one["id"] for one in found]
    change = next(line for line in stack.events("changes.log") if line.get("id") == entry["id"])
    assert ann == change["on_behalf_of"]["email"]


def test_without_it_nobody_is_named(stack: Stack, app: str) -> None:
    """The operator alone is the operator alone."""
    license_ = stack.json("license", "create", "--app", app, "--customer", "Initech", "--expires", "90d")
    (entry,) = stack.json("audit", "list", "--subject", f"license:{license_['id']}")

    assert "on_behalf_of" not in entry


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("unknown", "--as: no member has the address"),
        ("removed", "--as: no member has the address"),
        ("disabled", "is disabled; nobody can act as a disabled member"),
    ],
)
def test_nobody_acts_for_one_who_is_not_there(stack: Stack, app: str, fate: str, words: str) -> None:
    """The command is refused before it does anything, also one that only reads."""
    email = f"{fate}@{app}.test"
    if fate != "unknown":
        add(stack, app, email)
        stack.authsvc("member", fate.removesuffix("d").removesuffix("e") + "e", email)
    before = stack.json("license", "list", "--app", app)

    create = ("license", "create", "--app", app, "--customer", "Initech", "--expires", "90d")
    assert words in sentence(command(stack, *create, "--as", email), 1)
    assert words in sentence(command(stack, "license", "list", "--app", app, "--as", email), 1)
    assert before == stack.json("license", "list", "--app", app)


def test_a_word_that_is_no_address_is_refused(stack: Stack) -> None:
    """It is said which option is wrong."""
    assert "--as:" in sentence(command(stack, "team", "list", "--as", "ann"), 1)


def test_what_does_not_reach_the_database_names_nobody(stack: Stack) -> None:
    """A reload is in no audit, so it takes no person."""
    refused = command(stack, "reload", "--as", "ann@acme.test")

    assert (2, "") == (refused.code, refused.out)
    assert "--as" in refused.err
    assert json.loads(command(stack, "team", "list", "--json").out)
