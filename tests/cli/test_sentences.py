"""What commands say when they are done: what is true now, and what to type next with real names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.command import call
from tests.support.stack import Ran, Stack
from tests.support.tenants import License, make_license, make_member, make_team, unique

Say = Callable[..., Ran]


@pytest.fixture
def say(stack: Stack) -> Say:
    """Return a way to run a command that succeeds."""

    def said(*arguments: str) -> Ran:
        ran = call(*arguments, "--data-dir", str(stack.data_dir))
        assert ran.code == 0, ran
        return ran

    return said


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app; its team has the same slug."""
    slug = unique("app")
    make_team(stack, slug, slug=slug)
    return slug


@pytest.fixture
def license_(stack: Stack, app: str) -> License:
    """Return a license for it."""
    return make_license(stack, app)


def test_a_new_secret_says_where_to_use_it(stack: Stack, say: Say, app: str) -> None:
    """The line can be copied as it is: it names this registry."""
    member = make_member(stack, app, "owner")
    grant = ("--team", app, "--grant", f"{app}/**:pull")
    said = [
        say("token", "create", "laptop", "--member", member.username),
        say("service-account", "create", "ci", *grant),
        say("service-account", "rotate", "ci", "--team", app),
    ]

    names = [member.username, "ci", "ci"]
    assert [f"docker login {stack.name} -u {name}\n" for name in names] == [
        one.err[one.err.index("docker login") :] for one in said
    ]
    assert [1, 1, 1] == [len(one.out.splitlines()) for one in said]


def test_days_from_now(stack: Stack, say: Say, app: str) -> None:
    """A license's beginning and end can be given as days, and end on a whole second."""
    before = datetime.now(UTC)
    said = say("license", "create", "--app", app, "--customer", "Soon", "--not-before", "10d", "--expires", "365d")
    made = stack.json("license", "show", said.out.split()[1])

    begins, ends = (datetime.fromisoformat(made[name]) for name in ("not_before", "expires_at"))
    assert timedelta(days=355) == ends - begins
    assert timedelta(days=364) < ends - before < timedelta(days=366)
    assert "pending" == made["state"]


def test_a_rotation_says_what_becomes_of_the_old_token(say: Say, license_: License) -> None:
    """With an overlap it works on, without one it has ended."""
    assert "the old one works for 24h;" in say("license", "rotate", license_.id).out
    assert "the old one has ended;" in say("license", "rotate", license_.id, "--overlap", "0").out


@pytest.mark.parametrize("change", [("extend", "--expires", "90d"), ("rotate",)])
@pytest.mark.parametrize(("end", "state"), [("revoke", "revoked"), ("archive", "archived")])
def test_who_renews_what_is_refused_is_told(
    say: Say, license_: License, change: tuple[str, ...], end: str, state: str
) -> None:
    """A new end does not let a revoked license in; whoever thinks so learns it now and not from the customer."""
    say("license", end, license_.id)
    command, *options = change
    expected = f"authsvc: it stays {state}; to restore access: authsvc license reinstate {license_.id}\n"

    assert expected == say("license", command, license_.id, *options).err


def test_nothing_is_told_of_what_is_not_refused(say: Say, license_: License) -> None:
    """No hint without a reason."""
    assert "" == say("license", "extend", license_.id, "--expires", "90d").err


def test_fields_are_shown_as_they_are_written(say: Say, app: str) -> None:
    """A table has the form of the command line, not of our language."""
    fields = ("--field", "seats=25", "--field", "beta=true", "--field", "plan=gold", "--field", "none=null")
    made = say("license", "create", "--app", app, "--customer", "F", "--expires", "90d", *fields)
    shown = say("license", "show", made.out.split()[1]).out

    assert "fields seats=25, beta=true, plan=gold, none=null" in [" ".join(line.split()) for line in shown.splitlines()]
