"""Teams, apps, members and licenses on a running stack, made through the command line."""

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import frozen

from tests.support.stack import PASSWORD, Stack

_number = itertools.count(1)


def unique(word: str) -> str:
    """Return a slug that no other test of this process has; a stack belongs to one process."""
    return f"{word}-{os.getpid()}-{next(_number)}"


@frozen
class Account:
    """Somebody who can sign in."""

    username: str
    password: str


@frozen
class License:
    """A license and its file."""

    id: str
    file: str

    @property
    def document(self) -> dict[str, Any]:
        """The file as JSON."""
        document: dict[str, Any] = json.loads(self.file)
        return document

    @property
    def token(self) -> str:
        """The registry token in the file."""
        token: str = self.document["license"]["registry_token"]
        return token

    @property
    def account(self) -> Account:
        """The file as the password."""
        return Account("license", self.file)


def make_team(stack: Stack, *apps: str, slug: str | None = None) -> str:
    """Make a team with apps and return its slug."""
    team = slug or unique("team")
    stack.authsvc("team", "create", team)
    for app in apps:
        stack.authsvc("app", "create", app, "--team", team)
    return team


def make_member(stack: Stack, team: str, role: str, *apps: str) -> Account:
    """Make a member of ``team``, limited to ``apps`` if there are any."""
    email = f"{unique(role)}@{team}.test"
    limits = [argument for app in apps for argument in ("--app", app)]
    arguments = ("--team", team, "--role", role, *limits, "--password-stdin")
    stack.authsvc("member", "add", email, *arguments, stdin=PASSWORD)
    return Account(email, PASSWORD)


def make_license(stack: Stack, app: str, *options: str) -> License:
    """Make a license for ``app`` and return it with its file."""
    given = options if "--expires" in options else (*options, "--expires", "2031-01-31")
    file = stack.authsvc("license", "create", "--app", app, "--customer", "Globex", *given, "--output", "-").out
    return License(json.loads(file)["license"]["id"], file)


def make_ending_license(stack: Stack, app: str, *options: str) -> License:
    """Make a license that ends in some seconds; on a slow machine they are more, for a past end is refused."""
    for seconds in (4, 20, 80):
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        terms = ("--app", app, "--customer", "Globex", "--expires", f"{end:%Y-%m-%dT%H:%M:%SZ}", *options)
        ran = stack.authsvc("license", "create", *terms, "--output", "-", check=False)
        if ran.code == 0:
            return License(json.loads(ran.out)["license"]["id"], ran.out)
        assert "before now" in ran.err, ran
    pytest.fail("no command is fast enough to make a license that ends soon")
