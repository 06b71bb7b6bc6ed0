"""The management API does what its OpenAPI document says, as schemathesis asks it: on a running stack, as an owner."""

import json
import os
import random
import sys
from pathlib import Path

import pytest

from tests.support.http_client import ask
from tests.support.stack import PASSWORD, Stack, run, running_stack

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent

SEED = 20261127 if os.environ.get("CI") == "true" else random.randrange(2**32)
"""On CI the same requests in every run."""

DEADLINE = 1200.0
"""Seconds after which a run will not end any more; on an idle machine it takes less than a tenth of them."""


def prepared(stack: Stack) -> tuple[str, str]:
    """Make what the examples of the document name; return an owner's token, and the names of owner and token."""
    stack.authsvc("team", "create", "acme", "--name", "Acme")
    stack.authsvc("app", "create", "myapp", "--team", "acme")
    for email, role in (("me@vendor.com", "owner"), ("kim@vendor.com", "developer")):
        stack.authsvc("member", "add", email, "--team", "acme", "--role", role, "--password-stdin", stdin=PASSWORD)
    stack.authsvc("service-account", "create", "ci-build", "--team", "acme", "--grant", "myapp/**:pull,push")
    made = stack.json("token", "create", "schemathesis", "--member", "me@vendor.com", "--api", "manage")
    owner = next(one["id"] for one in stack.json("member", "list", "--team", "acme") if one["email"] == "me@vendor.com")
    token = str(made["token"])
    new = {
        "app": "myapp",
        "customer": "Acme Corp",
        "customer_reference": "crm-4711",
        "reference": "order-1001",
        "expires": "90d",
    }
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    reply = ask(stack.port, "POST", "/api/v1/licenses", headers=headers, body=json.dumps(new).encode())
    assert reply.status == 201, reply
    return token, f"me@vendor.com {owner} {made['id']}"


def test_the_api_is_as_its_document_says() -> None:
    """Every operation, by every check: of examples, of values at the limits, of random ones, and of sequences."""
    with running_stack() as stack:
        token, own = prepared(stack)
        environ = {**stack.environ, "API_TOKEN": token, "API_OWN_NAMES": own, "PYTHONPATH": str(ROOT)}
        config = ("--config-file", str(ROOT / "tests/system/schemathesis.toml"))
        address = f"http://{stack.name}/api/openapi.json"
        command = (str(Path(sys.executable).with_name("st")), "--no-color", *config, "run", address)
        # Without a filter, schemathesis leaves out the document itself.
        every = ("--include-path-regex", "^/", "--seed", str(SEED))
        ran = run(*command, *every, environ=environ, cwd=ROOT, seconds=DEADLINE)
        assert ran.code == 0, f"with the seed {SEED}:\n{ran.said}"
        document = ask(stack.port, "GET", "/api/openapi.json").json()
        operations = sum(len(item) for item in document["paths"].values())
        assert f"{operations} selected / {operations} total" in ran.out, ran.out
        assert f"Tested: {operations}" in ran.out, ran.out
        phases = ("Examples", "Coverage", "Fuzzing", "Stateful")
        assert [name for name in phases if f"✅ {name}" not in ran.out] == [], ran.out
        # Nothing has ended the account that asked.
        assert ask(stack.port, "GET", "/api/v1/teams", headers={"Authorization": f"Bearer {token}"}).status == 200
