"""The whole stack ends and begins again, and nothing that was acknowledged is lost."""

import json
import os
import signal
from collections.abc import Iterator

import pytest
from attrs import frozen

from tests.support.http_client import ask, get_token
from tests.support.oci import Image
from tests.support.processes import family_of, is_alive
from tests.support.registry_client import Client, TokenRefused
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import PATIENCE, until

IMAGE = Image(b"what must survive")


@frozen
class Estate:
    """A stack with something to lose."""

    stack: Stack
    owner: Account
    license: License
    revoked: License


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    """Return a stack with an image, a member, a license, and a revoked license."""
    with running_stack() as stack:
        team = make_team(stack, "app")
        owner = make_member(stack, team, "owner")
        revoked = make_license(stack, "app")
        stack.authsvc("license", "revoke", revoked.id)
        Client(stack.port, owner).push("app/worker", "1", IMAGE)
        yield Estate(stack, owner, make_license(stack, "app"), revoked)


def check_everything(estate: Estate) -> None:
    """Check that everything is as it was."""
    port = estate.stack.port
    Client(port, estate.license.account).pull("app/worker", "1", IMAGE)
    Client(port, estate.owner).push("app/again", "1", IMAGE)
    with pytest.raises(TokenRefused, match=r"was revoked on"):
        Client(port, estate.revoked.account).pull("app/worker", "1", IMAGE)
    listed = estate.stack.json("license", "list", "--app", "app")
    states = {entry["id"]: entry["state"] for entry in listed}
    assert (states[estate.revoked.id], states[estate.license.id]) == ("revoked", "active")
    again = estate.stack.authsvc("license", "download", estate.license.id, "--output", "-").out
    # The signature is another one each time, what it is for is the same.
    assert json.loads(again)["license"] == estate.license.document["license"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_lost(estate: Estate, number: signal.Signals) -> None:
    """Asked or killed, the next start has the same accounts, licenses, images, keys and address."""
    stack = estate.stack
    assert stack.process is not None
    family = family_of(stack.process.pid)
    old = Client(stack.port, estate.license.account).token("repository:app/worker:pull")
    # Acknowledged, and then the lights go out.
    newest = make_license(stack, "app")

    code = stack.stop(number)

    assert code == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
    until(lambda: not any(map(is_alive, family)), "every child ends")
    if number is not signal.SIGKILL:
        assert {path.name for path in (stack.data_dir / "run").iterdir()} == {"lock", "gc-lock", "registry-writes-lock"}
    said = stack.start()
    assert said.startswith(f"ready http://localhost:{stack.port}\n")
    assert "team create" not in said, "the story is for the first start"
    check_everything(estate)
    Client(stack.port, newest.account).pull("app/worker", "1", IMAGE)
    # A token of before is good: the root is the same.
    assert ask(stack.port, "GET", "/v2/app/worker/tags/list", headers={"Authorization": f"Bearer {old}"}).json() == {
        "name": "app/worker",
        "tags": ["1"],
    }


def test_the_parent_may_die_alone(estate: Estate) -> None:
    """Children follow a killed parent, so that a new start finds the port and the data free."""
    stack = estate.stack
    assert stack.process is not None
    family = family_of(stack.process.pid)
    # A folder that is held cannot be held twice.
    second = stack.authsvc("up", "--listen", f"127.0.0.1:{stack.port}", check=False)
    assert second.code == 2
    assert "another authsvc (pid" in second.err or "in use" in second.err
    assert str(stack.process.pid) in second.err or "nginx" in second.err
    os.kill(stack.process.pid, signal.SIGKILL)
    stack.process.wait(PATIENCE)
    # At once, while they are still going.
    stack.start()
    assert not any(map(is_alive, family))
    assert get_token(stack.port, estate.license.account).status == 200
