"""What counts of a license file is what the server knows: an edited or foreign file opens nothing more."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from authsvc.credentials.machine_secret import derive_license_token
from tests.support.http_client import Reply, claims_of, get_token, post_token
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license, make_team, unique


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app; its team has another one, ``APP-2``."""
    slug = unique("app")
    make_team(stack, slug, f"{slug}-2")
    return slug


@pytest.fixture(scope="session")
def license_(stack: Stack, app: str) -> License:
    """Return a license for a part of the app."""
    return make_license(stack, app, "--repository", "worker", "--expires", "2031-01-31")


def both(stack: Stack, account: Account, *scopes: str) -> list[Reply]:
    """Ask in both forms."""
    return [get_token(stack.port, account, *scopes), post_token(stack.port, account, *scopes)]


def resigned(document: dict[str, Any]) -> dict[str, Any]:
    """Put what the readable part says into the signed part too, under the old signature."""
    header, _, signature = document["signature"].split(".")
    payload = base64.urlsafe_b64encode(json.dumps(document["license"]).encode()).decode().rstrip("=")
    return {**document, "signature": f"{header}.{payload}.{signature}"}


@pytest.mark.parametrize(
    "bend", [lambda document: document, resigned, lambda document: {"license": document["license"]}],
    ids=["signature left", "payload too", "no signature"],
)  # fmt: skip
@pytest.mark.parametrize(
    "edit",
    [
        {"app": "{app}-2"},
        {"repositories": ["**"]},
        {"repositories": None},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"id": "0000000000000000"},
        {"type": "dev", "customer": "Somebody Else", "fields": {"admin": True}},
    ],
    ids=", ".join,
)
def test_an_edited_file_opens_what_it_did(
    stack: Stack,
    app: str,
    license_: License,
    edit: dict[str, Any],
    bend: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    """Only the registry token in the file is looked at, and the server knows what it is for."""
    changes = {name: value.format(app=app) if isinstance(value, str) else value for name, value in edit.items()}
    document = license_.document
    document["license"].update(changes)
    account = Account("license", json.dumps(bend(document)))
    scopes = (f"repository:{app}/worker:pull", f"repository:{app}/other:pull", f"repository:{app}-2/worker:pull")
    for reply in both(stack, account, *scopes):
        assert reply.status == 200
        claims = claims_of(reply.json()["token"])
        assert claims["sub"] == f"license:{license_.id}"
        assert [entry["name"] for entry in claims["access"]] == [f"{app}/worker"]


@pytest.mark.parametrize("place", [8, 20, -10, -1])
def test_an_edited_token_opens_nothing(stack: Stack, license_: License, place: int) -> None:
    """One changed character makes it junk."""
    token = license_.token
    place %= len(token)
    other = "0" if token[place] != "0" else "1"
    edited = token[:place] + other + token[place + 1 :]
    for password in (edited, license_.file.replace(token, edited)):
        assert {reply.status for reply in both(stack, Account("license", password))} == {401}


def test_a_foreign_license_opens_nothing(stack: Stack, license_: License) -> None:
    """A file of another installation is refused, even one that names a license of this one."""
    foreign = derive_license_token(b"another installation's license-token key"[:32], license_.id, 1).text.reveal()
    unknown = derive_license_token(b"another installation's license-token key"[:32], "0" * 16, 1).text.reveal()
    for token in (foreign, unknown):
        for password in (token, license_.file.replace(license_.token, token)):
            for reply in both(stack, Account("license", password)):
                assert reply.status == 401
                assert reply.error()[0] == "UNAUTHORIZED"


def test_a_token_ends_with_its_license(stack: Stack, app: str) -> None:
    """The server's state is what counts: an archived app denies every file that was given out for it."""
    slug = unique("app")
    make_team(stack, slug)
    license_ = make_license(stack, slug, "--contact", "sales@acme.test")
    assert {reply.status for reply in both(stack, license_.account)} == {200}
    stack.authsvc("app", "archive", slug, "--yes")
    for reply in both(stack, license_.account):
        assert reply.status == 401
        assert reply.error()[0] == "DENIED"
        assert f"the app {slug} was archived on " in reply.error()[1]
        assert "contact sales@acme.test" in reply.reason
