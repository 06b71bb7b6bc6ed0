"""What docker shows when something is not right, on a real engine."""

import re

import pytest

from tests.support.docker_engine import DockerEngine
from tests.support.stack import Stack
from tests.support.tenants import Account, make_license, make_member, make_team, unique

pytestmark = pytest.mark.system

REQUEST = r" \(request [0-9a-f]{16}\)"


@pytest.fixture(scope="module")
def app(stack: Stack, engine: DockerEngine) -> str:
    """Return an app with one image, ``APP/worker:1``, which this machine no longer has."""
    slug = unique("app")
    owner = make_member(stack, make_team(stack, slug), "owner")
    image = f"{stack.name}/{slug}/worker:1"
    engine.make_image(image, slug.encode())
    log_in(engine, stack, owner)
    engine.docker("push", image, check=True)
    engine.docker("logout", stack.name, check=True)
    engine.docker("rmi", image, check=True)
    return slug


def log_in(engine: DockerEngine, stack: Stack, account: Account) -> None:
    """Sign in."""
    engine.docker("login", stack.name, "-u", account.username, "--password-stdin", stdin=account.password, check=True)


@pytest.fixture(autouse=True)
def logged_out(engine: DockerEngine, stack: Stack, app: str) -> None:
    """Begin every test with nobody signed in."""
    engine.docker("logout", stack.name)


def test_a_wrong_password(engine: DockerEngine, stack: Stack) -> None:
    """Login says what to check, and does not tell whether the account exists."""
    member = make_member(stack, make_team(stack), "owner")
    said = []
    for username in (member.username, "nobody@nowhere.test"):
        ran = engine.docker("login", stack.name, "-u", username, "--password-stdin", stdin="not the password at all")
        assert ran.code == 1
        said.append(re.sub(REQUEST, "", ran.err))
    assert said[0] == said[1]
    assert "unauthorized: the user name, password, token or license file is not right; check it" in said[0]


def test_no_login(engine: DockerEngine, stack: Stack, app: str) -> None:
    """A pull without an account says how to get on."""
    ran = engine.docker("pull", f"{stack.name}/{app}/worker:1")
    assert ran.code == 1
    assert re.search(f"unauthorized: sign in with your account or license file: docker login{REQUEST}", ran.err)


def test_a_damaged_license_file(engine: DockerEngine, stack: Stack, app: str) -> None:
    """A file that lost a character signs nobody in."""
    file = make_license(stack, app).file
    ran = engine.docker(
        "login", stack.name, "-u", "license", "--password-stdin", stdin=file.replace("asv_lic_", "asv_lc_")
    )
    assert ran.code == 1
    assert "unauthorized: the user name, password, token or license file is not right" in ran.err


def test_an_ended_license(engine: DockerEngine, stack: Stack, app: str) -> None:
    """A license that has not begun yet says when it does, already at login."""
    pending = make_license(stack, app, "--not-before", "2030-06-01", "--contact", "Renate, +49 30 1234")
    ran = engine.docker("login", stack.name, "-u", "license", "--password-stdin", stdin=pending.file)
    assert ran.code == 1
    assert re.search(
        rf"denied: license {pending.id} of Globex begins on 2030-06-01; contact Renate, \+49 30 1234{REQUEST}", ran.err
    )


def test_the_token_alone_is_a_password_too(engine: DockerEngine, stack: Stack, app: str) -> None:
    """Whoever pastes the registry token out of the file gets what the file gets, under any user name."""
    log_in(engine, stack, Account("whatever", make_license(stack, app).token))
    ran = engine.docker("pull", f"{stack.name}/{app}/worker:1")
    assert ran.code == 0
    engine.docker("rmi", f"{stack.name}/{app}/worker:1", check=True)


def test_a_viewer_pushes_nothing(engine: DockerEngine, stack: Stack, app: str) -> None:
    """A member who may only read is told so in docker's own words."""
    own = unique("app")
    viewer = make_member(stack, make_team(stack, own), "viewer")
    image = f"{stack.name}/{own}/worker:1"
    engine.make_image(image, b"viewed")
    log_in(engine, stack, viewer)
    ran = engine.docker("push", image)
    assert ran.code == 1
    assert "denied: requested access to the resource is denied" in ran.err
