"""Commands that end access for others say so and ask first; scripts answer with --yes."""

import pytest

from tests.support.http_client import get_token
from tests.support.stack import Ran, Stack
from tests.support.tenants import License, make_license, make_member, make_team, unique
from tests.support.terminal import type_line


@pytest.fixture
def app(stack: Stack) -> str:
    """Return an app of this test's own."""
    slug = unique("app")
    make_team(stack, slug, slug=slug)
    return slug


@pytest.fixture
def license_(stack: Stack, app: str) -> License:
    """Return a license for it."""
    return make_license(stack, app)


def refused(stack: Stack, *arguments: str) -> str:
    """Run a command that is refused, and return the one line that says why."""
    ran = stack.authsvc(*arguments, check=False)
    assert (1, "", 1) == (ran.code, ran.out, len(ran.err.splitlines())), ran
    return ran.err


def at_terminal(stack: Stack, answer: str, *arguments: str) -> Ran:
    """Type a command at a terminal, and the answer to its question."""
    line = " ".join((stack.command[0], *arguments))
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    return type_line(line, answer, environ=environ, cwd=stack.folder, prompt="[y/N]")


def works(stack: Stack, license_: License) -> bool:
    """Whether the first file of a license logs in."""
    return get_token(stack.port, license_.account).status == 200


def test_a_second_rotation_is_refused_to_a_script(stack: Stack, license_: License) -> None:
    """It names the token and its promised end; with --yes it is done and said; what is live is shown throughout."""
    stack.authsvc("license", "rotate", license_.id, "--overlap", "7d")
    newest, older = stack.json("license", "show", license_.id)["tokens"]
    said = refused(stack, "license", "rotate", license_.id)

    assert ({"generation": 2, "ends_at": None}, 1) == (newest, older["generation"])
    assert f"token 1, which was to work until {older['ends_at']}, ends now" in said
    assert "repeat it with --yes" in said
    assert f"token 2; token 1 until {older['ends_at']}" in stack.authsvc("license", "show", license_.id).out
    assert works(stack, license_)
    done = stack.authsvc("license", "rotate", license_.id, "--yes")
    assert f"token 1, which was to work until {older['ends_at']}, ends now" in done.err
    assert [3, 2] == [token["generation"] for token in stack.json("license", "show", license_.id)["tokens"]]
    assert not works(stack, license_)


def test_a_person_is_asked(stack: Stack, license_: License) -> None:
    """No leaves everything as it is, yes does it."""
    rotate = ("license", "rotate", license_.id)
    stack.authsvc(*rotate)
    no = at_terminal(stack, "n", *rotate)
    assert (1, True) == (no.code, "nothing was changed" in no.out), no
    assert works(stack, license_)
    yes = at_terminal(stack, "y", *rotate)

    assert (0, True) == (yes.code, "has a new registry token" in yes.out), yes
    assert not works(stack, license_)


@pytest.mark.parametrize("change", [("disable",), ("remove",), ("set-role", "--role", "viewer")], ids=lambda c: c[0])
def test_the_last_owner_stays_unless_the_operator_insists(stack: Stack, app: str, change: tuple[str, ...]) -> None:
    """It is refused with the way out; --force does it."""
    owner = make_member(stack, app, "owner").username
    command, *options = change
    said = refused(stack, "member", command, owner, *options)

    assert f"{owner} is the last owner of the team {app}" in said
    assert "make another member an owner first, or repeat it with --force" in said
    stack.authsvc("member", command, owner, *options, "--force")


def test_an_app_is_archived_with_a_question_and_comes_back(stack: Stack, app: str, license_: License) -> None:
    """A script needs --yes; lists tell the truth meanwhile; reinstating gives the access back."""
    said = refused(stack, "app", "archive", app)
    assert (
        f"archiving the app {app} ends access to its images for 1 license in force of 1 customer; nothing was changed"
        in said
    )
    assert works(stack, license_)
    assert "1 license in force" in stack.authsvc("app", "archive", app, "--yes").err
    assert not works(stack, license_)

    (listed,) = stack.json("license", "list", "--app", app)
    assert ("archived", True) == (listed["state"], listed["app_archived_at"] is not None)
    assert f"authsvc app reinstate {app}" in stack.authsvc("license", "list", "--app", app).err
    assert [] == stack.json("app", "list", "--team", app)
    assert [app] == [one["slug"] for one in stack.json("app", "list", "--team", app, "--all")]
    assert 1 == stack.json("app", "show", app)["access_if_reinstated"]["licenses"]
    assert "is archived" in refused(stack, "app", "create", app, "--team", app)
    create = ("license", "create", "--app", app, "--customer", "Late", "--expires", "90d")
    assert "is archived" in refused(stack, *create)
    stack.authsvc("app", "reinstate", app)
    assert works(stack, license_)
    assert "active" == stack.json("license", "show", license_.id)["state"]
