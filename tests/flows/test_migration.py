"""``authsvc migrate docker-auth`` as a vendor runs it: look first, make everything once, and sign in with it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from authsvc.cli.console import find
from authsvc.cli.migrated_parts import MigratedPart, MigratedParts
from authsvc.errors import Conflict
from authsvc.installer.yaml_nodes import documents
from authsvc.migration.conversion import convert
from authsvc.migration.document import DockerAuthConfiguration
from authsvc.migration.plan import MigrationOptions
from authsvc.wiring.management import management
from tests.support.command import call
from tests.support.docker_auth_files import LDAP, REFERENCE, SIMPLE, VENDOR
from tests.support.http_client import claims_of, get_token
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import Account, make_team, unique


@pytest.fixture
def app() -> str:
    """Return a namespace of the test's own; the team is to have the same slug."""
    return unique("shop")


@pytest.fixture(scope="module")
def taken(stack: Stack) -> str:
    """Return an app of another team of the same slug."""
    slug = unique("taken")
    return make_team(stack, slug, slug=slug)


def vendor(app: str) -> str:
    """Return the configuration of a vendor with this namespace, and addresses that no other test has."""
    return VENDOR.replace("APP", app).replace("vendor.test", f"{app}.test")


def written(stack: Stack, text: str) -> str:
    """Write a configuration and return its path."""
    file = stack.folder / f"{unique('auth')}.yml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def migrated(stack: Stack, text: str, team: str, *options: str) -> dict[str, Any]:
    """Migrate, and return what was made, by account."""
    said = stack.json("migrate", "docker-auth", written(stack, text), "--team", team, *options)
    assert said["obstacles"] == []
    return {one["account"]: one for one in said["accounts"]}


def state(stack: Stack) -> tuple[object, ...]:
    """Return everything that a command might have changed."""
    lists = [call(what, "list", "--data-dir", str(stack.data_dir)).out for what in ("team", "app")]
    return (*lists, stack.events("changes.log"))


def test_a_machine_gets_what_it_had_and_no_more(stack: Stack, app: str) -> None:
    """With the token that was shown once: below the namespace and not deeper, nowhere else, and without deleting."""
    made = migrated(stack, vendor(app), app)
    ci = Account("ci_build", made["ci_build"]["token"])
    customer = Account("customer", made["customer"]["token"])

    def actions(account: Account, name: str) -> list[str]:
        reply = get_token(stack.port, account, f"repository:{name}:pull,push,delete")
        assert reply.status == 200, reply
        access = claims_of(reply.json()["token"])["access"]
        return sorted(action for one in access for action in one["actions"])

    assert actions(ci, f"{app}/worker") == ["pull", "push"]
    assert actions(ci, f"{app}/worker/deep") == []
    assert actions(ci, f"{app}-x/worker") == []
    assert actions(customer, f"{app}/worker") == ["pull"]
    assert actions(customer, f"{app}/internal-x") == []
    image = Image(b"of the machine")
    Client(stack.port, ci).push(f"{app}/worker", "1", image)
    Client(stack.port, customer).pull(f"{app}/worker", "1", image)


def test_people_join_by_their_links(stack: Stack, app: str) -> None:
    """Each with the role that is the same, for the apps of the file and no other."""
    made = migrated(stack, vendor(app), app)
    assert (made[f"alice@{app}.test"]["role"], made[f"dora@{app}.test"]["role"]) == ("owner", "developer")
    for person in (f"alice@{app}.test", f"dora@{app}.test"):
        stack.authsvc("member", "redeem", "--stdin", stdin=f"{made[person]['link']}\n{PASSWORD}\n")

    members = {one["email"]: one for one in stack.json("member", "list", "--team", app)}
    assert {email: (one["role"], one["apps"]) for email, one in members.items()} == {
        f"alice@{app}.test": ("owner", [app]),
        f"dora@{app}.test": ("developer", [app]),
    }
    again = migrated(stack, vendor(app), app)
    assert {one["state"] for one in again.values()} == {"existing"}


def test_a_dry_run_changes_nothing(stack: Stack, app: str) -> None:
    """It says what would be made and shows no secret; the real one then makes exactly that."""
    file, before = written(stack, vendor(app)), state(stack)
    said = stack.authsvc("migrate", "docker-auth", file, "--team", app, "--dry-run", "--machine", f"alice@{app}.test")

    assert state(stack) == before
    assert said.out.splitlines()[:2] == [f"team {app} would be made", f"app {app} would be made"]
    assert "asv_" not in said.said
    assert f"ci_build: service account ci-build with {app}/*:pull,push: would be made; less than before" in said.out
    assert f"{file}:18: entry 6 of acl is not converted: it depends on the address of the client" in said.err
    planned = migrated(stack, vendor(app), app, "--dry-run")
    made = migrated(stack, vendor(app), app)
    assert [(name, one["grants"], one["exact"]) for name, one in planned.items()] == [
        (name, one["grants"], one["exact"]) for name, one in made.items()
    ]
    assert {one["state"] for one in made.values()} == {"created"}


def test_a_repetition_makes_only_what_is_missing(stack: Stack, app: str) -> None:
    """No second secret, no second invitation, and rights that were changed since stay as they are."""
    text = vendor(app)
    first = migrated(stack, text, app, "--machine", f"dora@{app}.test")
    stack.authsvc("service-account", "set-grants", "customer", "--team", app, "--grant", f"{app}/other:pull")
    before = state(stack)
    again = migrated(stack, text, app, "--machine", f"dora@{app}.test")

    assert {name: one["state"] for name, one in again.items()} == {
        f"alice@{app}.test": "existing",
        f"dora@{app}.test": "existing",
        "ci_build": "existing",
        "customer": "differs",
    }
    assert all(one.get("token") is None and one.get("link") is None for one in again.values())
    assert state(stack) == before
    more = migrated(stack, text.replace("customer", "customer2"), app, "--machine", f"dora@{app}.test")
    assert more["customer2"]["state"] == "created"
    assert first["customer"]["token"] != more["customer2"]["token"]
    said = stack.authsvc("migrate", "docker-auth", written(stack, text), "--team", app)
    assert f"was there with other rights, which stay; see: authsvc service-account list --team {app}" in said.out


def test_secrets_stand_on_lines_of_their_own(stack: Stack, app: str) -> None:
    """So that each can be copied as a whole word; what to do with them is beside."""
    file = written(stack, vendor(app))
    said = stack.authsvc("migrate", "docker-auth", "-", "--team", app, stdin=Path(file).read_text(encoding="utf-8"))

    secrets = [line for line in said.out.splitlines() if "asv_" in line]
    assert len(secrets) == 4
    assert all(line.split("_")[1] in {"sa", "link"} and " " not in line for line in secrets)
    assert "asv_" not in said.err
    assert f"docker login {stack.name} -u NAME" in said.err
    assert not any(secret in json.dumps(stack.events("changes.log")) for secret in secrets)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (SIMPLE, (), "nothing in the configuration can be converted; nothing was made"),
        (LDAP, (), "nothing in the configuration can be converted; nothing was made"),
        (REFERENCE, ("--machine", "nobody"), "the configuration has no account 'nobody'"),
        (SIMPLE, ("--app", "v2"), "'v2' is reserved"),
        (SIMPLE, ("--app", "{taken}"), "the app {taken} belongs to the team {taken}"),
        ("users: {a: {}, a: {}}", (), "1 problem; nothing was made"),
        ("services: {}", (), "neither users nor acl"),
        ("a: 1\n---\nb: 2\n", (), "2 YAML documents instead of one"),
        ("", (), "0 YAML documents instead of one"),
        ("users: {", (), "this is not YAML"),
        ("users: {}\n\tacl: []\n", (), ".yml:2: "),
        ("[" * 300, (), "nested deeper than 200 levels"),
        ("#" + "x" * 1_000_000, (), "has more than 1,000,000 bytes"),
        ("[" + "a," * 100_001 + "]", (), "more than 100000 values"),
    ],
)
def test_what_cannot_be_migrated_makes_nothing(
    stack: Stack, app: str, taken: str, text: str, options: tuple[str, ...], sentence: str
) -> None:
    """One clear reason, exit code 1, and neither team nor app is there afterwards."""
    before = state(stack)
    given = [option.replace("{taken}", taken) for option in options]
    where = ("--data-dir", str(stack.data_dir))
    said = call("migrate", "docker-auth", written(stack, text), "--team", app, *given, *where)

    assert said.code == 1, said
    assert said.out == ""
    assert sentence.replace("{taken}", taken) in said.err
    assert "Traceback" not in said.err
    assert state(stack) == before


def test_bytes_that_are_no_text(stack: Stack, app: str) -> None:
    """The line is said."""
    file = stack.folder / "latin.yml"
    file.write_bytes(b"users: {}\n# M\xfcller\n")
    said = stack.authsvc("migrate", "docker-auth", str(file), "--team", app, check=False)

    assert (said.code, said.out) == (1, "")
    assert f"{file}:2: this is not UTF-8" in said.err


def test_a_member_of_another_team_and_an_archived_app(stack: Stack, app: str) -> None:
    """Both are said before anything is made."""
    other = make_team(stack)
    email = f"eve@{other}.test"
    stack.authsvc("member", "add", email, "--team", other, "--role", "owner", "--password-stdin", stdin=PASSWORD)
    make_team(stack, app, slug=app)
    stack.authsvc("app", "archive", app, "--yes")
    text = vendor(app).replace(f"alice@{app}.test", email)
    said = stack.authsvc("migrate", "docker-auth", written(stack, text), "--team", app, check=False)

    assert (said.code, said.out) == (1, "")
    assert f"{email} is a member of the team {other}, not of {app}" in said.err
    assert f"the app {app} is archived; reinstate it with: authsvc app reinstate {app}" in said.err
    assert "2 obstacles; nothing was made" in said.err
    assert stack.json("service-account", "list", "--team", app) == []


def test_an_address_that_is_none(stack: Stack, app: str) -> None:
    """Wrong usage of the option."""
    said = stack.authsvc("migrate", "docker-auth", written(stack, SIMPLE), "--team", app, "--email", "x", check=False)

    assert said.code == 2
    assert "'x' is not ACCOUNT=EMAIL" in said.err


def test_the_example_of_the_documentation(stack: Stack, app: str) -> None:
    """docs/migration.md shows a configuration, and what the dry run says of it."""
    page = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
    configuration, said = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0].replace("myapp", app) for kind in ("yaml", "text")
    )
    team = unique("team")
    (stack.folder / "auth_config.yml").write_text(configuration, encoding="utf-8")
    ran = stack.authsvc("migrate", "docker-auth", "auth_config.yml", "--team", team, "--dry-run")

    assert ran.out + ran.err == said.replace("team acme", f"team {team}")


async def test_a_migration_that_fails_in_the_middle(stack: Stack, app: str) -> None:
    """What was made has told its secret by then, and a repetition makes the rest and nothing twice."""
    (root,) = documents(vendor(app))
    plan = convert(DockerAuthConfiguration.read(root), MigrationOptions())
    settings, _ = find(stack.data_dir, {})
    told: list[MigratedPart] = []
    async with management(settings, lambda _: None) as manage:
        parts = MigratedParts(app)
        await parts.look(manage, plan)
        await manage.teams.create(app, None, manage.operation())  # somebody else is faster
        with pytest.raises(Conflict):
            await parts.carry_out(manage, told.append)
        assert told == []

        parts = MigratedParts(app)
        await parts.look(manage, plan)
        await manage.teams.create_app(app, app, None, manage.operation())
        await manage.service_accounts.create("customer", app, [f"{app}/x:pull"], None, None, manage.operation())
        parts.steps = [one for one in parts.steps if one.kind == "account"]
        with pytest.raises(Conflict):
            await parts.carry_out(manage, told.append)
        assert [(one.name, one.secret is not None) for one in told] == [
            (f"alice@{app}.test", True),
            (f"dora@{app}.test", True),
            ("ci-build", True),
        ]

        parts = MigratedParts(app)
        await parts.look(manage, plan)
        await parts.carry_out(manage, told.append)
    assert [(one.name, one.state) for one in parts.steps] == [
        (app, "existing"),
        (app, "existing"),
        (f"alice@{app}.test", "existing"),
        (f"dora@{app}.test", "existing"),
        ("ci-build", "existing"),
        ("customer", "differs"),
    ]
