"""Links to external registries as a vendor types them on a running installation."""

import json
from typing import Any

import pytest

from tests.support.command import call
from tests.support.oci import Image
from tests.support.stack import Ran, Stack
from tests.support.tenants import make_team, unique
from tests.support.terminal import type_line
from tests.support.upstream_registry import USERS, upstream_registry

SECRET = "robot-key-of-the-vendor"
LINE = 100
"""Most characters of a line of a table."""


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app with a link ``quay`` whose secret was read from standard input."""
    slug = unique("app")
    make_team(stack, slug, slug=slug)
    told = upstream(stack, "link", "quay", slug, *ROBOT, *("--credential-ends", "90d"), stdin=f"{SECRET}\n")
    assert told.out == f"upstream quay of {slug} linked to https://quay.io\n"
    return slug


ROBOT = ("--provider", "quay", "--username", "org+robot", "--secret-stdin", "--repository", "org/**")


def upstream(stack: Stack, verb: str, name: str, app: str, *more: str, stdin: str = "", check: bool = True) -> Ran:
    """Run a command on a link."""
    return stack.authsvc("upstream", verb, name, "--app", app, *more, stdin=stdin, check=check)


def listed(stack: Stack, app: str) -> list[dict[str, Any]]:
    """Return the links of an app."""
    found: list[dict[str, Any]] = stack.json("upstream", "list", "--app", app)
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "artifactory"), "JFrog Artifactory: the url is missing: the address of your Artifactory"),
        (("--provider", "artifactory", "--url", "https://a.jfrog.io/api"), "give only https://a.jfrog.io"),
        (("--provider", "other", "--url", "r.example.com"), "has no scheme; write https://r.example.com"),
        (("--provider", "other", "--url", "http://1.1.1.1"), "is without TLS"),
        (("--provider", "acr"), "the username is missing: the name of a repository-scoped token"),
        (("--provider", "acr"), "; --secret-stdin reads the secret from standard input"),
        (("--provider", "ghcr", "--username", "me"), "the secret is missing: the personal access token (classic)"),
        (("--provider", "dockerhub", "--repository", "Org/x"), "'Org/x' is not a pattern of the upstream's"),
        (("--provider", "dockerhub", "--credential-ends", "soon"), "'soon'"),
    ],
)
def test_what_is_wrong_is_said(stack: Stack, app: str, arguments: tuple[str, ...], words: str) -> None:
    """One sentence, exit 1, and nothing is linked."""
    ran = upstream(stack, "link", "wrong", app, *arguments, *("--repository", "org/**"), check=False)
    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err
    assert ran.err.startswith("authsvc: ")
    assert "wrong" not in {one["name"] for one in listed(stack, app)}


def test_lists_fit_and_never_show_a_secret(stack: Stack, app: str) -> None:
    """For people within a line, for programs with all facts."""
    table = stack.authsvc("upstream", "list", "--app", app).out
    (link,) = [one for one in listed(stack, app) if one["name"] == "quay"]

    assert max(map(len, table.splitlines())) <= LINE
    heading = table.splitlines()[0].split("  ")
    assert [cell.strip() for cell in heading if cell] == [
        "UPSTREAM", "PROVIDER", "LAST GOOD", "LAST ERROR", "SECRET ENDS"
    ]  # fmt: skip
    assert link["credential_ends_at"][:10] in table
    assert (link["username"], link["has_secret"], link["last_error"]) == ("org+robot", True, None)
    shown = upstream(stack, "show", "quay", app)
    for text in (table, json.dumps(link), shown.out, *map(json.dumps, stack.events("changes.log"))):
        assert SECRET not in text
        assert "sealed1" not in text


def test_a_link_from_its_beginning_to_its_end(stack: Stack, app: str) -> None:
    """Changed, purged, and ended after a question, since a license names it."""
    upstream(stack, "link", "hub", app, "--provider", "dockerhub", "--repository", "library/*")
    upstream(stack, "set", "hub", app, "--username", "acme", "--secret-stdin", stdin=SECRET)
    upstream(stack, "set", "hub", app, "--repository", "acme/*")
    alone = upstream(stack, "set", "hub", app, "--token-host", "auth.example", check=False)
    assert (alone.code, "would be sent to auth.example too" in alone.err) == (1, True), alone
    assert "; `authsvc upstream set LINK --secret-stdin` reads it from standard input" in alone.err
    upstream(stack, "purge", "hub", app)
    (link,) = [one for one in listed(stack, app) if one["name"] == "hub"]
    facts = ("username", "repositories", "credential_version", "purges")
    assert [link[name] for name in facts] == ["acme", ["acme/*"], 2, 1]

    create = ("license", "create", "--app", app, "--customer", "Globex", "--expires", "2031-01-31", "--output", "-")
    stack.authsvc(*create, "--repository", "proxy/hub/acme/*")
    asked = upstream(stack, "unlink", "hub", app, check=False)
    assert asked.code == 1
    assert "ends access to its images for 1 license; nothing was changed, repeat it with --yes" in asked.err
    assert json.loads(upstream(stack, "unlink", "hub", app, "--yes", "--json").out)["unlinked"] is True
    assert "hub" not in {one["name"] for one in listed(stack, app)}
    assert f"see: authsvc upstream list --app {app}" in upstream(stack, "show", "hub", app, check=False).err


def test_a_secret_is_asked_for_without_echo(stack: Stack, app: str) -> None:
    """At a terminal, when the provider or a username needs one."""
    link = ("upstream", "link", "asked", "--app", app, "--provider", "ghcr", "--username", "me")
    line = " ".join((stack.command[0], *link, "--repository", "'me/**'"))
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    said = type_line(line, SECRET, environ=environ, cwd=stack.folder, prompt="Secret:").out
    assert f"upstream asked of {app} linked to https://ghcr.io" in said
    assert SECRET not in said


def test_a_link_to_a_real_registry_is_tested(stack: Stack, app: str) -> None:
    """With htpasswd and an authority of its own: refused, found good, with a wrong secret, and not trusted."""
    with upstream_registry() as elsewhere:
        digest = elsewhere.push("org/api", "1.2", Image(b"api"))
        settings = {
            "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
            "AUTHSVC_UPSTREAM_CA_FILE": str(elsewhere.authority.file),
            "AUTHSVC_CONFIG": str(stack.data_dir / "config" / "authsvc.toml"),
        }

        def ask(verb: str, *more: str, stdin: str = "", environ: dict[str, str] = settings) -> Ran:
            return call("upstream", verb, "real", "--app", app, *more, environ=environ, stdin=stdin)

        where = ("--provider", "other", "--url", elsewhere.url, "--repository", "org/**")
        # Of a data directory the settings of its server count, which has none; not those of a command.
        asked = {**settings, "AUTHSVC_CONFIG": "", "AUTHSVC_DATA_DIR": str(stack.data_dir)}
        refused = ask("link", *where, environ={name: value for name, value in asked.items() if value})
        assert (refused.code, "is or leads to a loopback address" in refused.err) == (1, True)
        assert ask("link", *where, "--username", "alice", "--secret-stdin", stdin=USERS["alice"]).code == 0
        good = ask("test", "--repository", "org/api:1.2")
        assert good.code == 0, good
        assert f"org/api:1.2 is {digest}" in good.out
        assert [line.split()[:2] for line in good.out.splitlines()] == [
            ["ok", step] for step in ("dns", "address", "tls", "challenge", "token", "manifest")
        ]

        ask("set", "--secret-stdin", stdin="not-her-password")
        wrong = ask("test", "--repository", "org/api:1.2")
        assert (wrong.code, "refuses the credential" in wrong.out) == (1, True), wrong
        untrusted = ask("test", environ={name: value for name, value in settings.items() if "CA_FILE" not in name})
        assert ("FAILED  tls" in untrusted.out, "authority" in untrusted.out) == (True, True), untrusted
    (link,) = [one for one in listed(stack, app) if one["name"] == "real"]
    assert (link["last_error_code"], link["last_good_at"]) == ("tls", None)
