"""Somebody with a license and somebody with a password."""

import pytest

from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license, make_member, make_team, unique


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app."""
    slug = unique("app")
    make_team(stack, slug)
    return slug


@pytest.fixture(scope="session")
def license_(stack: Stack, app: str) -> License:
    """Return a license for it."""
    return make_license(stack, app)


@pytest.fixture(scope="session")
def member(stack: Stack, app: str) -> Account:
    """Return a developer of the app's team."""
    return make_member(stack, stack.json("app", "show", app)["team"], "developer")
