"""Preflight on a running stack: will tonight's install work?"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.flows.conftest import World
from tests.installer.conftest import BIN
from tests.support.http_client import Reply, ask, basic
from tests.support.oci import INDEX, Image, digest_of, index_of
from tests.support.registry_client import Client
from tests.support.stack import Ran, Stack, run
from tests.support.tenants import Account, License, make_license
from tests.support.waiting import until

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def index(world: World) -> bytes:
    """Return an image of several platforms, ``VAULT/many:1``."""
    client = Client(world.stack.port, world.owner)
    client.push(f"{world.vault}/many", "amd64", world.image)
    index = index_of(world.image.manifest)
    assert 201 == client.put_manifest(f"{world.vault}/many", "1", index, INDEX).status
    return index


def post(stack: Stack, account: Account | None, *images: str) -> Reply:
    """Ask for a preflight."""
    headers = {**JSON, **(basic(account) if account else {})}
    return ask(stack.port, "POST", "/auth/preflight", headers=headers, body=json.dumps({"images": images}).encode())


def verdict(stack: Stack, account: Account, image: str) -> dict[str, Any]:
    """Return what is said of one image."""
    reply = post(stack, account, image)
    assert 200 == reply.status, reply
    (found,) = reply.json()["images"]
    return dict(found)


def size_of(image: Image) -> int:
    """Return the bytes that a pull downloads beside the manifest."""
    return len(image.layer) + len(image.config)


def test_what_is_there(world: World, index: bytes) -> None:
    """Of an image that may be pulled digest and size are told, by tag and by digest, for one platform of many."""
    name = world.stack.name
    product, many = f"{name}/{world.product}", f"{name}/{world.vault}/many:1"
    asked = (f"{product}:1", f"{product}@{world.image.digest}", many, f"{product}:2")

    images = post(world.stack, world.customer.account, *asked).json()["images"]

    good = {"ok": True, "may_pull": True, "exists": True, "size": size_of(world.image), "reason": None}
    assert [
        {"image": asked[0], **good, "digest": world.image.digest, "platform": None},
        {"image": asked[1], **good, "digest": world.image.digest, "platform": None},
        {"image": asked[2], **good, "digest": digest_of(index), "platform": "linux/amd64"},
        {"image": asked[3], "ok": False, "may_pull": True, "exists": False, "digest": None, "size": None,
         "platform": None, "reason": "there is no such image"},
    ] == images  # fmt: skip


def test_a_large_index_is_not_read(world: World) -> None:
    """Of an index of 3 MB the digest is told and the size is not, and asking for it in bulk harms no other team."""
    client = Client(world.stack.port, world.owner)
    client.push(f"{world.vault}/large", "amd64", world.image)
    large = json.loads(index_of(world.image.manifest)) | {"annotations": {"x": "y" * 3_000_000}}
    body = json.dumps(large).encode()
    assert 201 == client.put_manifest(f"{world.vault}/large", "1", body, INDEX).status
    image = f"{world.stack.name}/{world.vault}/large:1"
    rival, repository = world.attackers["another team's owner"]
    assert rival is not None

    with ThreadPoolExecutor(5) as threads:
        flood = [threads.submit(post, world.stack, world.customer.account, *[image] * 50) for _ in range(4)]
        other = threads.submit(post, world.stack, rival, f"{world.stack.name}/{repository}:1")

    assert (200, True) == (other.result().status, other.result().json()["images"][0]["ok"])
    for reply in (one.result() for one in flood):
        facts = {(one["ok"], one["digest"], one["size"], one["reason"]) for one in reply.json()["images"]}
        assert {(True, digest_of(body), None, None)} == facts


def test_what_is_not_covered(world: World) -> None:
    """Of images that may not be pulled nothing is told, whether they exist or not."""
    stack, license_ = (
        world.stack,
        make_license(world.stack, world.vault, "--repository", "other", "--contact", "Renate"),
    )
    annex = f"{stack.name}/{world.annex}"

    refused = [verdict(stack, license_.account, image) for image in (f"{annex}/img:1", f"{annex}/nothing:1")]
    pattern = verdict(stack, license_.account, f"{stack.name}/{world.product}:1")

    for found in refused:
        assert f"the license is for the app {world.vault}; contact Renate" == found["reason"]
    assert "the license does not cover this repository; contact Renate" == pattern["reason"]
    for found in (*refused, pattern):
        nothing = {"ok": False, "may_pull": False, "exists": None, "digest": None, "size": None, "platform": None}
        assert nothing == {name: value for name, value in found.items() if name not in {"image", "reason"}}


def test_attackers_learn_nothing(world: World) -> None:
    """Nobody else learns whether the product exists, and a member's answer does not even tell whether the app does."""
    for name, (account, _) in world.attackers.items():
        if account is None:
            assert 401 == post(world.stack, None, f"{world.stack.name}/{world.product}:1").status
            continue
        there, missing = (
            verdict(world.stack, account, f"{world.stack.name}/{repository}:1")
            for repository in (world.product, f"{world.vault}x/product")
        )
        assert (False, None) == (there["may_pull"], there["exists"]), name
        assert there["reason"] == missing["reason"], name


def test_other_registries_and_proxied_images(world: World) -> None:
    """What comes from elsewhere is said to, and is neither good nor bad."""
    stack = world.stack
    license_ = make_license(stack, world.vault, "--repository", "proxy/hub/**")

    proxied = verdict(stack, license_.account, f"{stack.name}/proxy/{world.vault}/hub/library/redis:7")
    foreign = verdict(stack, license_.account, "redis:7")

    assert (None, True, "it is pulled through from hub") == tuple(proxied[k] for k in ("ok", "may_pull", "reason"))
    assert (None, False, f"it is not an image of {stack.name}") == tuple(
        foreign[k] for k in ("ok", "may_pull", "reason")
    )


def test_get_is_the_same(world: World) -> None:
    """The query form answers as the body does."""
    image = f"{world.stack.name}/{world.product}:1"
    target = f"/auth/preflight?{urlencode([('image', image), ('image', 'redis')], quote_via=quote)}"

    reply = ask(world.stack.port, "GET", target, headers=basic(world.customer.account))

    assert post(world.stack, world.customer.account, image, "redis").json() == reply.json()


def test_the_license_is_told(world: World) -> None:
    """Dates, fields and contact of the license are as the vendor set them; nothing is about to end."""
    license_ = make_license(world.stack, world.vault, "--field", "seats=25", "--contact", "Renate", "--type", "trial")

    body = post(world.stack, license_.account).json()

    assert {
        "id": license_.id, "app": world.vault, "customer": "Globex", "type": "trial", "state": "active",
        "not_before": None, "expires_at": "2031-01-31T00:00:00Z", "token_ends_at": None, "fields": {"seats": 25},
        "contact": "Renate",
    } == body["license"]  # fmt: skip
    assert ([], [], f"license:{license_.id}") == (body["warnings"], body["images"], body["subject"])


def test_a_member_may_ask_too(world: World) -> None:
    """Any credential gets an answer; without a license there is none to tell of."""
    body = post(world.stack, world.owner, f"{world.stack.name}/{world.product}:1").json()

    assert (None, [], True) == (body["license"], body["warnings"], body["images"][0]["ok"])


def test_denied(world: World) -> None:
    """A license that has not begun and a wrong secret are refused as at the token endpoint."""
    stack = world.stack
    pending = make_license(stack, world.vault, "--not-before", "2030-06-01", "--contact", "Renate")
    damaged = Account("license", world.customer.token[:-1] + ("0" if world.customer.token[-1] != "0" else "1"))

    assert "DENIED" == post(stack, pending.account).error()[0]
    assert (
        f"license {pending.id} of Globex begins on 2030-06-01; contact Renate"
        in post(stack, pending.account).error()[1]
    )
    assert (401, "UNAUTHORIZED") == ((reply := post(stack, damaged)).status, reply.error()[0])
    assert (401, "UNAUTHORIZED") == ((reply := post(stack, None)).status, reply.error()[0])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", 'the body could not be read; send {"images": ["registry/app/image:tag", ...]} as JSON'),
        (b"[" * 60_000, "the body could not be read"),
        (b"[]", "the body names no images"),
        (b'{"images": "redis"}', "the body names no images"),
        (b'{"images": [1]}', "the body names no images"),
        (
            json.dumps({"images": ["redis"] * 51}).encode(),
            "a preflight looks at 50 images at most, and this one names 51",
        ),
        (b'{"images": ["UPPER/case:1:2"]}', "'UPPER/case:1:2' is not an image"),
        (b'{"images": ["a/b\\nc"]}', "'a/b\\nc' is not an image"),
    ],
)
def test_malformed_requests(world: World, body: bytes, said: str) -> None:
    """Every malformed request gets 400 and a sentence."""
    headers = {**JSON, **basic(world.customer.account)}
    reply = ask(world.stack.port, "POST", "/auth/preflight", headers=headers, body=body)

    assert 400 == reply.status
    assert said in reply.error()[1]


def test_only_our_own_token_is_used(world: World) -> None:
    """The registry saw nobody's credentials: what it was asked with names the system, and opens one repository."""
    assert verdict(world.stack, world.customer.account, f"{world.stack.name}/{world.product}:1")["ok"]

    def is_logged() -> bool:
        answered = [one for one in world.stack.events("serve.log") if one.get("event") == "preflight.answered"]
        return (f"license:{world.customer.id}", 1, 1) in [
            (one["subject"], one["images"], one["good"]) for one in answered
        ]

    until(is_logged, "the event in the log")  # no request waits for the log
    assert world.customer.token not in (world.stack.data_dir / "log/serve.log").read_text()


class Holder:
    """Somebody with a license file and ``authsvc-license``."""

    def __init__(self, stack: Stack, license_: License, folder: Path) -> None:
        self.environ = {**stack.environ, "HOME": str(folder)}
        self.folder = folder
        (folder / "acme.license.json").write_text(license_.file)
        keys = folder / ".config/authsvc/keys/vendor.json"
        keys.parent.mkdir(parents=True)
        keys.write_bytes(ask(stack.port, "GET", "/auth/license-keys.json").body)

    def __call__(self, command: str, *arguments: str, stdin: str = "") -> Ran:
        """Run a command on the file."""
        argv = (str(BIN / "authsvc-license"), command, "acme.license.json", *arguments)
        return run(*argv, environ=self.environ, cwd=self.folder, stdin=stdin)


@pytest.fixture
def holder(world: World, tmp_path: Path) -> Holder:
    """Return the customer."""
    return Holder(world.stack, world.customer, tmp_path)


def test_the_command(world: World, holder: Holder) -> None:
    """The table is for people, and the exit code says that all is well."""
    image = f"{world.stack.name}/{world.product}:1"

    ran = holder("preflight", image)

    assert (0, "") == (ran.code, ran.err)
    headings, row, _, end = ran.out.splitlines()
    assert ["IMAGE", "MAY", "PULL", "EXISTS", "SIZE", "DIGEST", "REMARK"] == headings.split()
    assert [image, "yes", "yes", str(size_of(world.image)), "B", world.image.digest[:19]] == row.split()
    assert f"license {world.customer.id} of Globex ends at 2031-01-31T00:00:00Z" == end


COMPOSE = """
services:
  db: {{image: "redis:7", restart: always}}
  worker:
    image: {name}/{product}:1   # the product
    environment: ["image: not/this"]
"""


def test_a_compose_file_on_standard_input(world: World, holder: Holder) -> None:
    """Images are found where they stand; one of another registry is listed and does not fail the whole."""
    text = COMPOSE.replace('["image: not/this"]', "[A=b]").format(name=world.stack.name, product=world.product)

    ran = holder("preflight", "--json", stdin=text)

    assert (0, "") == (ran.code, ran.err)
    body = json.loads(ran.out)
    assert (True, [f"{world.stack.name}/{world.product}:1", "redis:7"]) == (
        body["ok"],
        [image["image"] for image in body["images"]],
    )


def test_what_was_not_checked(world: World, holder: Holder) -> None:
    """A file among the arguments is read; what could not be checked is named with its line and makes the code 1."""
    good = f"{world.stack.name}/{world.product}:1"
    pod = holder.folder / "pod.yaml"
    pod.write_text(f"image: &image {good}\nside: {{image: *image}}\nargs:\n- --reloader={good}\n")
    ran = holder("preflight", "pod.yaml")
    assert (0, "") == (ran.code, ran.err), ran

    other = f"{world.stack.name}/{world.product}:2"
    pod.write_text(f'image: {good}\nargs:\n- --reloader={other}\n---\nimage: "${{\\e[0mTAG}}"\n')
    ran = holder("preflight", "pod.yaml")

    assert 1 == ran.code
    _, first, second, third, *_ = ran.out.splitlines()
    assert [good, "yes", "yes"] == first.split()[:3]
    assert [other, "-", "-"] == second.split()[:3]
    assert "pod.yaml, line 3: not looked at: no image is expected here" in second
    assert "pod.yaml, line 5: it has a variable in it" in third
    assert r"${\u001b[0mTAG}" in third


def test_a_proxy_is_not_asked_about_localhost(world: World, holder: Holder) -> None:
    """Variables that name a proxy change nothing for a registry on this machine, as with docker."""
    dead = "http://127.0.0.1:1"
    holder.environ |= {"http_proxy": dead, "https_proxy": dead, "HTTP_PROXY": dead, "HTTPS_PROXY": dead}

    assert 0 == holder("preflight", f"{world.stack.name}/{world.product}:1").code


def test_another_spelling_of_the_registry(world: World, holder: Holder) -> None:
    """A real client does not sign in when the name differs in case alone, and preflight says the same beforehand."""
    holder.environ |= {
        "PATH": f"{BIN}{os.pathsep}{holder.environ['PATH']}",
        "REGISTRY_AUTH_FILE": str(holder.folder / "auth.json"),
    }
    assert 0 == holder("login").code

    def outcomes(image: str) -> tuple[bool, Ran, dict[str, Any]]:
        argv = ("skopeo", "inspect", "--tls-verify=false", f"docker://{image}")
        client = run(*argv, environ=holder.environ, cwd=holder.folder)
        return client.code == 0, holder("preflight", image), verdict(world.stack, world.customer.account, image)

    good = f"{world.stack.name}/{world.product}:1"
    pulled, asked, server = outcomes(good)
    assert (True, 0, True) == (pulled, asked.code, server["ok"])
    pulled, asked, server = outcomes(good.replace("localhost", "LOCALHOST"))
    assert (False, 1, False) == (pulled, asked.code, server["ok"])
    assert f"docker and podman take LOCALHOST:{world.stack.port} for another registry" in asked.out
    assert f"write {world.stack.name}" in server["reason"]


@pytest.mark.parametrize("tag", ["missing", "1"])
def test_anything_that_would_fail(world: World, holder: Holder, tag: str) -> None:
    """One missing or refused image makes the exit code 1, in both forms of output."""
    bad = f"{world.product}:missing" if tag == "missing" else f"{world.annex}/img:1"
    text = f"{world.stack.name}/{world.product}:1\n{world.stack.name}/{bad}\n"

    assert [1, 1] == [holder("preflight", *form, stdin=text).code for form in ((), ("--json",))]
    assert "NO" in holder("preflight", stdin=text).out


def test_more_than_one_request_holds(world: World, holder: Holder) -> None:
    """A hundred and one images are asked about in three requests and answered in order."""
    images = [f"{world.stack.name}/{world.product}:{number}" for number in range(1, 102)]

    body = json.loads(holder("preflight", "--json", "-", stdin="\n".join(images)).out)

    assert images == [image["image"] for image in body["images"]]
    assert [True] + [False] * 100 == [image["ok"] for image in body["images"]]


def test_rotation_is_visible_to_the_holder(world: World, tmp_path: Path) -> None:
    """During the overlap the old file works and says when it ends, and the new one does not; then it is refused."""
    stack, license_ = world.stack, make_license(world.stack, world.vault, "--contact", "Renate")
    stack.authsvc("license", "rotate", license_.id, "--overlap", "3h")
    newer = License(license_.id, stack.authsvc("license", "download", license_.id, "--output", "-").out)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = Holder(stack, license_, tmp_path / "old"), Holder(stack, newer, tmp_path / "new")

    ran = old("show", "--online")
    assert 0 == ran.code
    assert "warning: this file's token ends in 3 h; a newer file exists; contact Renate for it\n" == ran.err
    body = json.loads(old("preflight", "--json", f"{stack.name}/{world.product}:1").out)
    assert ["token-ends"] == [warning["code"] for warning in body["warnings"]]
    assert body["warnings"][0]["at"] == body["license"]["token_ends_at"]
    assert ("", 0) == ((ran := new("show", "--online")).err, ran.code)

    stack.authsvc("license", "rotate", license_.id, "--overlap", "0")
    ran = old("show", "--online")
    assert 1 == ran.code
    assert "denied: the user name, password, token or license file is not right" in ran.err


def test_an_end_that_is_near(world: World, tmp_path: Path) -> None:
    """A license that ends within 30 days says so, offline and online, with whom to ask."""
    soon = (datetime.now(UTC) + timedelta(days=9)).date()
    left = round((datetime(soon.year, soon.month, soon.day, tzinfo=UTC) - datetime.now(UTC)) / timedelta(days=1))
    license_ = make_license(world.stack, world.vault, "--expires", str(soon), "--contact", "Renate")
    holder = Holder(world.stack, license_, tmp_path)

    assert f"warning: the license ends in {left} days, at {soon}T00:00:00Z; contact Renate\n" == holder("show").err
    assert (
        f"warning: the license ends in {left} days, on {soon}; contact Renate\n"
        == holder("preflight", f"{world.stack.name}/{world.product}:1").err
    )


def test_a_revoked_license(world: World, tmp_path: Path) -> None:
    """The command prints the server's own sentence."""
    license_ = make_license(world.stack, world.vault, "--contact", "Renate")
    world.stack.authsvc("license", "revoke", license_.id)

    ran = Holder(world.stack, license_, tmp_path)("preflight", f"{world.stack.name}/{world.product}:1")

    assert (1, "") == (ran.code, ran.out)
    assert f"authsvc-license: denied: license {license_.id} of Globex was revoked on " in ran.err
    assert "; contact Renate (request " in ran.err
