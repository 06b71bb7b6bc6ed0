"""The life of credentials on a running stack: made and ended by commands, tried at the token endpoint at once."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc.manage.links import VOID
from tests.support.http_client import Reply, ask, basic, claims_of, get_token, post_token
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import Account, make_license, make_member, make_team, unique

OTHER_PASSWORD = "another horse, another battery"
PULL_ONLY, NOTHING = ("pull",), ()


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app."""
    slug = unique("app")
    make_team(stack, slug)
    return slug


@pytest.fixture
def team(stack: Stack, app: str) -> str:
    """Return the team that owns the app."""
    slug: str = stack.json("app", "show", app)["team"]
    return slug


def actions(reply: Reply) -> Sequence[str]:
    """Return what a token grants on its one repository."""
    assert reply.status == 200, reply
    access = claims_of(reply.json()["token"])["access"]
    return tuple(access[0]["actions"]) if access else NOTHING


def tried(stack: Stack, app: str, account: Account) -> Reply:
    """Ask for everything on a repository of the app."""
    return get_token(stack.port, account, f"repository:{app}/x:pull,push,delete")


def signed_in(stack: Stack, account: Account) -> str:
    """Sign in as docker does and return the refresh token."""
    token: str = post_token(stack.port, account, access_type="offline").json()["refresh_token"]
    return token


def by_refresh(stack: Stack, app: str, token: str) -> Reply:
    """Ask for a token as docker does after its login."""
    more = {"grant_type": "refresh_token", "refresh_token": token}
    return post_token(stack.port, Account("", ""), f"repository:{app}/x:pull,push", **more)


CHANGES: dict[str, Callable[[Stack, str], object]] = {
    "disable": lambda stack, email: stack.authsvc("member", "disable", email, "--force"),
    "remove": lambda stack, email: stack.authsvc("member", "remove", email, "--force"),
    "set-password": lambda stack, email: stack.authsvc(
        "member", "set-password", email, "--password-stdin", stdin=OTHER_PASSWORD
    ),
    "reset and redeem": lambda stack, email: stack.authsvc(
        "member", "redeem", "--stdin", stdin=f"{stack.json('member', 'reset', email)['link']}\n{OTHER_PASSWORD}\n"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_use_after_the_answer_fails(stack: Stack, app: str, team: str, change: str) -> None:
    """A remembered password and a kept sign-in are 401 at once when the command has returned."""
    account = make_member(stack, team, "developer")
    kept = signed_in(stack, account)
    assert ("pull", "push") == actions(tried(stack, app, account)) == actions(by_refresh(stack, app, kept))
    CHANGES[change](stack, account.username)

    assert (401, 401) == (tried(stack, app, account).status, by_refresh(stack, app, kept).status)
    if "password" in change or "redeem" in change:
        assert ("pull", "push") == actions(tried(stack, app, Account(account.username, OTHER_PASSWORD)))


def test_an_invitation_is_a_line_and_works_once(stack: Stack, app: str, team: str) -> None:
    """The command prints one link; whoever redeems it signs in, and the second time is refused in one sentence."""
    email = f"{unique('new')}@acme.test"
    invited = stack.authsvc("member", "invite", email, "--team", team, "--role", "viewer")
    (link,) = invited.out.splitlines()
    assert "shown once; works once within 72 hours" in invited.err
    short = stack.authsvc("member", "redeem", "--stdin", stdin=f"{link}\nshort\n", check=False)
    assert (1, True) == (short.code, "15 to 1,024 bytes" in short.err)
    done = stack.authsvc("member", "redeem", "--stdin", stdin=f"{link}\r\n{PASSWORD}\r\n")
    assert f"{email} is viewer of {team} and can sign in\n" == done.out
    again = stack.authsvc("member", "redeem", "--stdin", stdin=f"{link}\n{PASSWORD}\n", check=False)

    assert (
        1,
        f"authsvc: {VOID}\n",
    ) == (
        again.code,
        again.err,
    )
    assert PULL_ONLY == actions(tried(stack, app, Account(email, PASSWORD)))
    assert link not in (stack.data_dir / "log" / "changes.log").read_text()


def test_an_open_invitation_is_listed_and_taken_back(stack: Stack, team: str) -> None:
    """The list says who is invited, and not the secret; what was taken back is off the list and opens nothing."""
    email = f"{unique('open')}@acme.test"
    link = stack.json("member", "invite", email, "--team", team, "--role", "viewer")["link"]
    listed = stack.authsvc("member", "links", "--team", team).out
    assert (email in listed, "viewer" in listed, "operator" in listed, link in listed) == (True, True, True, False)
    (one,) = [found for found in stack.json("member", "links", "--team", team) if found["email"] == email]
    assert (one["purpose"], one["apps"], one["works"]) == ("invite", None, True)
    assert "no longer works" in stack.authsvc("member", "revoke-link", one["id"], "--team", team).out
    assert email not in stack.authsvc("member", "links", "--team", team).out
    again = stack.authsvc("member", "revoke-link", email, "--team", team, check=False)
    assert (again.code, "no open link" in again.err) == (1, True)
    void = stack.authsvc("member", "redeem", "--stdin", stdin=f"{link}\n{PASSWORD}\n", check=False)
    assert (void.code, "the link is not valid" in void.err) == (1, True)


def test_a_machine_has_its_account(stack: Stack, app: str, team: str) -> None:
    """Created, rotated with and without overlap, disabled, enabled and revoked: each counts at the next request."""
    name = unique("ci")
    ours = (name, "--team", team)

    def made(*arguments: str) -> Account:
        return Account(name, stack.json("service-account", *arguments)["token"])

    first = made("create", *ours, "--grant", f"{app}/**:pull,push", "--expires", "90d")
    second = made("rotate", *ours)
    assert [("pull", "push")] * 2 == [actions(tried(stack, app, one)) for one in (first, second)]
    third = made("rotate", *ours, "--overlap", "0")
    assert [401, 401, 200] == [tried(stack, app, one).status for one in (first, second, third)]
    for command, status in (("disable", 401), ("enable", 200), ("revoke", 401)):
        stack.authsvc("service-account", command, *ours)
        assert status == tried(stack, app, third).status, command
    assert 1 == stack.authsvc("service-account", "enable", *ours, check=False).code
    assert 401 == tried(stack, app, third).status

    assert "was revoked on" in tried(stack, app, third).error()[1]
    taken = stack.authsvc("service-account", "create", *ours, "--grant", f"{app}/**:pull", check=False)
    assert (1, True) == (taken.code, "has or had a service account" in taken.err)


def test_personal_tokens_and_sign_ins_are_listed_and_revoked(stack: Stack, app: str, team: str) -> None:
    """Both are in one list, and each ends at the first use after its revocation."""
    account = make_member(stack, team, "viewer")
    token = stack.json("token", "create", "laptop", "--member", account.username, "--expires", "90d")
    kept = signed_in(stack, account)
    personal = Account(account.username, token["token"])
    assert PULL_ONLY == actions(tried(stack, app, personal)) == actions(by_refresh(stack, app, kept))
    lines = stack.json("token", "list", "--member", account.username)
    assert [("personal", "laptop"), ("sign-in", "containerd-client")] == [(x["kind"], x["name"]) for x in lines]
    for line in lines:
        stack.authsvc("token", "revoke", line["id"])

    assert (401, 401) == (tried(stack, app, personal).status, by_refresh(stack, app, kept).status)
    assert [] == stack.json("token", "list", "--member", account.username)


def test_a_sign_in_opens_nothing_but_the_token_endpoint(stack: Stack, app: str, team: str) -> None:
    """Neither the registry nor any other page takes it, as Bearer or as Basic (design #8)."""
    kept = signed_in(stack, make_member(stack, team, "owner"))

    for target in (f"/v2/{app}/x/tags/list", "/v2/", "/api/v1/apps"):
        for header in ({"Authorization": f"Bearer {kept}"}, basic(Account("x", kept))):
            assert ask(stack.port, "GET", target, headers=header).status in {401, 404}


def test_two_hundred_pulls_with_one_sign_in(stack: Stack, app: str, team: str) -> None:
    """It does not rotate: many layers at once, each with the same token, all come through."""
    kept = signed_in(stack, make_member(stack, team, "viewer"))
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: by_refresh(stack, app, kept), range(200)))

    assert {(200, PULL_ONLY)} == {(reply.status, actions(reply)) for reply in replies}
    assert all("refresh_token" not in reply.json() for reply in replies)


def test_a_member_who_signs_in_again_and_again(stack: Stack, app: str, team: str) -> None:
    """Every sign-in succeeds, 20 bring a refresh token and an audit entry, and the first one keeps working."""
    account = make_member(stack, team, "viewer")
    first_answer = post_token(stack.port, account, access_type="offline")
    first = first_answer.json()["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: post_token(stack.port, account, access_type="offline"), range(60)))
    member = claims_of(first_answer.json()["token"])["sub"]
    entries = stack.json("audit", "list", "--event", "sign-in.kept", "--subject", member, "--limit", "100")

    assert {200} == {reply.status for reply in replies}
    assert 19 == sum("refresh_token" in reply.json() for reply in replies)
    assert 20 == len(entries)
    assert [(200, PULL_ONLY)] * 2 == [
        (reply.status, actions(reply)) for reply in (by_refresh(stack, app, first), tried(stack, app, account))
    ]


def test_a_license_lives_on_after_its_renewal(stack: Stack, app: str) -> None:
    """Extended, its file stays good; rotated, both work; rotated at once, only the new one; archived, none."""
    old = make_license(stack, app, "--expires", "2030-01-31")
    stack.authsvc("license", "extend", old.id, "--expires", "2031-01-31")
    download = stack.authsvc("license", "download", old.id, "--output", "-").out
    assert old.token == json.loads(download)["license"]["registry_token"]
    assert "2031-01-31T00:00:00Z" == json.loads(download)["license"]["expires_at"]
    new = stack.authsvc("license", "rotate", old.id, "--output", "-").out
    assert [200, 200] == [tried(stack, app, Account("license", file)).status for file in (old.file, new)]
    newest = stack.authsvc("license", "rotate", old.id, "--overlap", "0", "--output", "-").out
    assert [401, 401, 200] == [tried(stack, app, Account("license", file)).status for file in (old.file, new, newest)]
    stack.authsvc("license", "archive", old.id)
    assert 401 == tried(stack, app, Account("license", newest)).status
    assert [] == [one for one in stack.json("license", "list", "--app", app) if one["id"] == old.id]
    stack.authsvc("license", "reinstate", old.id)

    assert PULL_ONLY == actions(tried(stack, app, Account("license", newest)))


def test_who_rejoins_takes_nothing_over(stack: Stack, app: str, team: str) -> None:
    """The same address again is somebody else: the old token stays dead, and the id is new."""
    account = make_member(stack, team, "owner")
    token = stack.json("token", "create", "laptop", "--member", account.username)["token"]
    first = stack.json("member", "remove", account.username, "--force")["id"]
    arguments = ("--team", team, "--role", "owner", "--password-stdin")
    second = stack.json("member", "add", account.username, *arguments, stdin=PASSWORD)["id"]

    assert first != second
    assert 401 == tried(stack, app, Account(account.username, token)).status
    assert 200 == tried(stack, app, account).status
