"""``authsvc doctor`` as it is typed: what it prints, its exit codes, and that no secret is in it."""

import json

import pytest

from tests.support.command import call, sentence
from tests.support.ports import free_port
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import make_member, make_team, unique


def test_a_fresh_installation_is_fine(stack: Stack) -> None:
    """Also a push by an owner; the password is in nothing that is printed."""
    app = unique("app")
    member = make_member(stack, make_team(stack, app), "owner")
    account = ("--username", member.username, "--repository", f"{app}/img", "--password-stdin")
    url = f"http://{stack.name}"
    ran = call("doctor", url, *account, "--push-size", "1", "--push-seconds", "0", stdin=f"{PASSWORD}\n")

    assert (0, "") == (ran.code, ran.err)
    assert f"{url} is fine: challenge, clock, token endpoint, header limits, uploads, push\n" == ran.out


def test_the_data_directory_is_looked_at_from_inside(stack: Stack) -> None:
    """With it no address is needed; the configuration of its registry is found there."""
    ran = call("doctor", "--data-dir", str(stack.data_dir), "--json")
    found = json.loads(ran.out)

    assert (0, "", f"http://{stack.name}") == (ran.code, ran.err, found["url"])
    assert {"redis", "workers", "registry", "registry configuration", "webhook"} < set(found["passed"])
    assert ["push"] == [one["check"] for one in found["skipped"]]


def test_without_an_account_it_says_what_was_not_checked(stack: Stack) -> None:
    """A clear line, and no failure."""
    ran = call("doctor", f"http://{stack.name}")

    assert 0 == ran.code
    assert "not checked: push: no account that may push was given" in ran.out


def test_a_problem_is_a_failure_with_three_lines() -> None:
    """What, why, and what to change; for programs the same in JSON."""
    url = f"http://localhost:{free_port()}"
    ran, machine = call("doctor", url), call("doctor", url, "--json")

    assert (1, 1) == (ran.code, machine.code)
    assert [f"unreachable: {url} cannot be reached", "  why it matters", "  change"] == [
        line.rpartition(": ")[0] if number else line[: line.index("reached") + 7]
        for number, line in enumerate(ran.out.splitlines()[:3])
    ]
    (finding,) = json.loads(machine.out)["findings"]
    assert ["code", "what", "why", "change"] == list(finding)
    assert "unreachable" == finding["code"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("https://registry.example/path",), "is not a registry address"),
        (("https://registry.example", "--username", "a"), "belong together"),
        (("https://registry.example", "--password-stdin"), "belong together"),
        (("https://localhost", "--ca-file", "/nonexistent"), "--ca-file: /nonexistent cannot be read"),
        (("--data-dir", "/nonexistent"), "there is no installation"),
        (("https://registry.example", "--registry-config", "/nonexistent"), "--registry-config goes with"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, and nothing was asked."""
    ran = call("doctor", *arguments, environ={"AUTHSVC_DATA_DIR": None})

    assert says in sentence(ran, 2)


def test_a_password_is_not_sent_over_plain_http() -> None:
    """To this machine it is, as every test here shows; to another it would be readable on the way."""
    account = ("--username", "ci", "--repository", "app/img", "--password-stdin")
    ran = call("doctor", "http://registry.invalid", *account, stdin=PASSWORD)

    assert 1 == ran.code
    assert "not checked: push: the password is not sent over plain http, except to this machine\n" in ran.out
