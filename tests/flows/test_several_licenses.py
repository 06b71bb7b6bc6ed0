"""One password with the licenses of several apps of two vendors, on a running stack (docs/license-holders.md)."""

import base64
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.flows.conftest import ANNEX, EVIL, World
from tests.installer.conftest import BIN
from tests.support.http_client import ask, basic, claims_of, get_token, post_token
from tests.support.registry_client import Client
from tests.support.stack import Ran, Stack, run
from tests.support.tenants import Account, License, make_license
from tests.support.waiting import until


def joined(*licenses: License) -> Account:
    """Return who signs in with the registry tokens of several licenses, as the credential helper does."""
    return Account("license", ".".join(license_.token for license_ in licenses))


def preflight(stack: Stack, account: Account, *images: str) -> Any:
    """Return the answer to a preflight."""
    query = urlencode([("image", f"{stack.name}/{image}") for image in images])
    return ask(stack.port, "GET", f"/auth/preflight?{query}", headers=basic(account))


def recorded(stack: Stack, subject: str, token_id: str) -> Any:
    """Return the audit's entry on a token among the newest of a subject, or None."""
    found = stack.json("audit", "list", "--subject", subject, "--limit", "50")
    return next((entry for entry in found if entry.get("token_id") == token_id), None)


@pytest.fixture(scope="module")
def licenses(world: World) -> dict[str, License]:
    """Return a customer's licenses: of two apps of one vendor, of another vendor's, and one that is revoked."""
    stack = world.stack
    found = {app: make_license(stack, app) for app in (world.vault, world.annex, world.evil)}
    found["revoked"] = make_license(stack, world.annex, "--contact", "sales@annex.test")
    stack.authsvc("license", "revoke", found["revoked"].id)
    return found


def test_every_app_pulls(world: World, licenses: dict[str, License]) -> None:
    """With one password, in one order or another, the images of all apps are pulled from the real registry."""
    images = {world.product: world.image, f"{world.annex}/img": ANNEX, f"{world.evil}/img": EVIL}
    each = list(licenses.values())
    for account in (joined(*each), joined(*each[::-1])):
        for repository, image in images.items():
            Client(world.stack.port, account).pull(repository, "1", image)


def test_the_token_names_who_granted_it(world: World, licenses: dict[str, License]) -> None:
    """By GET and by POST the subject is the license of the app asked for; several are sorted and joined by commas."""
    stack, account = world.stack, joined(*licenses.values())
    vault, evil = f"repository:{world.product}:pull", f"repository:{world.evil}/img:pull,push"
    for ask_for in (get_token, post_token):
        one, both = (
            claims_of(ask_for(stack.port, account, *asked).json()["token"]) for asked in ([vault], [vault, evil])
        )
        ids = sorted(licenses[app].id for app in (world.vault, world.evil))
        assert [f"license:{licenses[world.vault].id}", f"license:{','.join(ids)}"] == [one["sub"], both["sub"]]
        assert {("pull",)} == {tuple(entry["actions"]) for entry in both["access"]}


def test_each_license_is_found_in_the_audit(world: World, licenses: dict[str, License]) -> None:
    """The vendor finds the request by the license that granted it, and by each when several did."""
    stack = world.stack
    scopes = [f"repository:{name}:pull,delete" for name in (world.product, f"{world.annex}/img")]
    claims = claims_of(get_token(stack.port, joined(*licenses.values()), *scopes).json()["token"])
    for app in (world.vault, world.annex):
        subject = f"license:{licenses[app].id}"
        entry = until(partial(recorded, stack, subject, claims["jti"]), "the token is in the audit")
        assert (claims["sub"], "licenses") == (entry["actor"], entry["credential"]["kind"])


def test_one_that_is_revoked_is_told_only_when_it_matters(world: World, licenses: dict[str, License]) -> None:
    """It does not hurt the others; where it alone is for the app, the answer is its message."""
    stack = world.stack
    account = joined(licenses["revoked"], licenses[world.vault])
    granted = get_token(stack.port, account, f"repository:{world.product}:pull")
    denied = get_token(stack.port, account, f"repository:{world.annex}/img:pull")

    assert (200, 401) == (granted.status, denied.status)
    code, message = denied.error()
    assert "DENIED" == code
    assert message.startswith(f"license {licenses['revoked'].id} of Globex was revoked on ")
    assert "contact sales@annex.test" in message
    assert 200 == get_token(stack.port, account).status
    assert 401 == get_token(stack.port, joined(licenses["revoked"], licenses["revoked"])).status


def test_eight_pass_and_nine_are_told_why_not(world: World, licenses: dict[str, License]) -> None:
    """Eight secrets fit into the headers of every hop; one more is refused before any of them is looked up."""
    stack, scope = world.stack, f"repository:{world.product}:pull"
    tokens = [licenses[world.vault].token, *(license_.token for license_ in licenses.values())]
    eight = Account("license", ".".join((tokens * 2)[:8]))
    nine = Account("license", ".".join((tokens * 2)[:9]))

    assert 200 == get_token(stack.port, eight, scope).status
    for reply in (get_token(stack.port, nine, scope), post_token(stack.port, nine, scope)):
        assert (401, "UNAUTHORIZED") == (reply.status, reply.error()[0])
        assert "joins 9 license secrets, and 8 are allowed" in reply.error()[1]


def test_preflight_answers_as_the_token_endpoint_would(world: World, licenses: dict[str, License]) -> None:
    """Each image is covered by its own license; where one is not in force, its message stands beside the image."""
    account = joined(licenses[world.vault], licenses["revoked"])
    product, annex, evil = f"{world.product}:1", f"{world.annex}/img:1", f"{world.evil}/img:1"
    reply = preflight(world.stack, account, product, annex, evil)

    assert 200 == reply.status
    answer = reply.json()
    assert [(True, True), (False, False), (False, False)] == [(one["ok"], one["may_pull"]) for one in answer["images"]]
    assert f"license {licenses['revoked'].id} of Globex was revoked on " in answer["images"][1]["reason"]
    assert "none of the licenses in force is for the app" in answer["images"][2]["reason"]
    assert answer["license"] is None
    states = {one["id"]: one["state"] for one in answer["licenses"]}
    assert {licenses[world.vault].id: "active", licenses["revoked"].id: "revoked"} == states
    only = preflight(world.stack, account, annex)
    assert (401, "DENIED") == (only.status, only.error()[0])
    assert json.dumps(answer).count(licenses["revoked"].token) == 0


@pytest.fixture
def holder(world: World, licenses: dict[str, License], tmp_path: Path) -> Callable[..., Ran]:
    """Return ``authsvc-license`` of a customer with the vendor's key and files of two apps."""
    for name, app in (("vault", world.vault), ("annex", world.annex)):
        (tmp_path / f"{name}.json").write_text(licenses[app].file)
    keys = tmp_path / ".config/authsvc/keys/vendor.json"
    keys.parent.mkdir(parents=True)
    keys.write_bytes(ask(world.stack.port, "GET", "/auth/license-keys.json").body)

    def call(*words: str) -> Ran:
        environ = {**world.stack.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
        return run(str(BIN / "authsvc-license"), *words, environ=environ, cwd=tmp_path)

    return call


def test_the_command_asks_with_what_clients_use(
    world: World, licenses: dict[str, License], holder: Callable[..., Ran]
) -> None:
    """Before the login of the second file its app is not covered; after it preflight of either file covers both.

    It says of each license when it ends.
    """
    images = [f"{world.stack.name}/{name}:1" for name in (world.product, f"{world.annex}/img")]
    assert 0 == holder("login", "vault.json").code
    assert 1 == holder("preflight", "vault.json", *images).code
    assert 0 == holder("login", "annex.json").code

    for name in ("vault.json", "annex.json"):
        ran = holder("preflight", name, *images)
        assert (0, "") == (ran.code, ran.err)  # clients use the copy that login made, which has the same token
        ends = [line for line in ran.out.splitlines() if line.startswith("license ")]
        assert sorted(
            f"license {licenses[app].id} of Globex for {app} ends at 2031-01-31T00:00:00Z"
            for app in (world.vault, world.annex)
        ) == sorted(ends)


def test_a_replaced_token_among_several_is_named(world: World, holder: Callable[..., Ran], tmp_path: Path) -> None:
    """With the token of one file replaced, the others hide it from the server's refusal; preflight names the file."""
    other = make_license(world.stack, world.annex)
    (tmp_path / "annex.json").write_text(other.file)
    assert [0, 0] == [holder("login", name).code for name in ("vault.json", "annex.json")]
    image = f"{world.stack.name}/{world.annex}/img:1"
    assert "did not accept" not in holder("preflight", "vault.json", image).err
    world.stack.authsvc("license", "rotate", other.id, "--overlap", "0")

    ran = holder("preflight", "vault.json", image)

    assert 1 == ran.code
    kept = tmp_path / f".config/authsvc/licenses/{world.annex}-{other.id}.license.json"
    assert f"warning: the registry did not accept the license in {kept}: a newer file has replaced it" in ran.err
    assert "ends at None" not in ran.out


def test_a_client_with_an_older_login_is_named(world: World, holder: Callable[..., Ran], tmp_path: Path) -> None:
    """A stored login that comes before the license files is asked with, too: preflight is not green when it fails."""
    image = f"{world.stack.name}/{world.product}:1"
    assert 0 == holder("login", "vault.json").code
    stale = base64.b64encode(b"license:asv_lic_gone").decode()
    auths = {"auths": {world.stack.name: {"auth": stale}}}
    (tmp_path / "run/containers").mkdir(parents=True)
    (tmp_path / "run/containers/auth.json").write_text(json.dumps(auths))

    ran = holder("preflight", "--json", "vault.json", image)

    answer = json.loads(ran.out)
    assert (1, False, True) == (ran.code, answer["ok"], answer["images"][0]["ok"])
    assert {"docker": True, "podman and buildah": False, "skopeo": False} == {
        one["client"]: one["ok"] for one in answer["clients"]
    }
    assert f"podman and buildah uses the login of 'license' in {tmp_path}/run/containers/auth.json" in ran.err
    assert "would be refused: denied: the user name, password, token or license file is not right" in ran.err
    assert 0 == holder("login", "vault.json").code
    assert 0 == holder("preflight", "vault.json", image).code
