"""Images of a linked registry through everything that `authsvc up` starts: a vendor links, a customer pulls."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from authsvc.keys.secrets_dir import load_nginx_secrets
from tests.support.attached import platform_index
from tests.support.http_client import Reply, ask, get_token
from tests.support.oci import INDEX, Image, digest_of
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack, running_stack
from tests.support.tenants import License, make_license, make_member, make_team
from tests.support.upstream_registry import USERS, upstream_registry
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import until

IMAGES = {"linux/amd64": Image(b"amd" * 50_000), "linux/arm64": Image(b"arm" * 50_000)}
MULTI = json.dumps(platform_index(IMAGES)).encode()


@frozen
class Shop:
    """A vendor's installation that shows a registry with htpasswd and TLS of its own authority."""

    stack: Stack
    team: str
    holder: License
    upstream: ExitStack
    receiver: StubUpstream

    def client(self) -> Client:
        """Return the customer's client."""
        return Client(self.stack.port, self.holder.account)

    def get(self, rest: str) -> bytes:
        """Return what the customer gets."""
        reply = self.client().ask("GET", f"/v2/proxy/shop/hub/org/image/{rest}")
        assert reply.status == 200, reply
        return reply.body


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run both, with an image for two platforms in the linked registry."""
    authority = UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))
    settings = {"UPSTREAM_CA_FILE": str(authority.file), "UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8"}
    receiving = StubUpstream(tls=authority.issue("localhost").server_context(), answers={"/hook": Answer(204)})
    with receiving as receiver, ExitStack() as ending, running_stack(options=("--workers", "2"), **settings) as stack:
        upstream = ending.enter_context(upstream_registry(authority))
        for image in IMAGES.values():
            upstream.push("org/image", f"of-{image.digest[7:15]}", image)
        upstream.push_manifest("org/image", "1.0", INDEX, MULTI)
        team = make_team(stack, "shop")
        # As a person does in another terminal: with nothing of the environment that the server was started with.
        elsewhere = evolve(stack, settings={})
        elsewhere.authsvc(
            *("upstream", "link", "hub", "--app", "shop", "--provider", "other", "--url", upstream.url),
            *("--username", "alice", "--secret-stdin", "--repository", "org/**"),
            stdin=USERS["alice"],
        )
        assert elsewhere.authsvc("upstream", "test", "hub", "--app", "shop", "--repository", "org/image:1.0").code == 0
        yield Shop(stack, team, make_license(stack, "shop", "--repository", "proxy/hub/org/**"), ending, receiver)


def test_skopeo_pulls_all_platforms(shop: Shop, tmp_path: Path) -> None:
    """The image index and every image in it arrive, byte for byte; the customer's one host is ours."""
    skopeo = Skopeo(shop.stack, tmp_path)
    assert skopeo.log_in(shop.holder.account).code == 0
    reference = f"docker://{shop.stack.name}/proxy/shop/hub/org/image:1.0"
    done = skopeo.run("copy", "--all", "--src-tls-verify=false", reference, f"dir:{tmp_path / 'pulled'}")
    assert done.code == 0, done

    pulled = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "pulled").iterdir()}
    parts = [MULTI, *(part for one in IMAGES.values() for part in (one.manifest, one.config, one.layer))]
    assert {digest_of(part).removeprefix("sha256:") for part in parts} <= pulled


def test_another_repository_is_not_there(shop: Shop) -> None:
    """What the license does not cover is refused, and what the link does not show does not exist."""
    wide = make_license(shop.stack, "shop", "--repository", "proxy/hub/**")
    reply = Client(shop.stack.port, shop.holder.account).ask("GET", "/v2/proxy/shop/hub/secret/x/manifests/1")
    assert reply.status == 401
    reply = Client(shop.stack.port, wide.account).ask("GET", "/v2/proxy/shop/hub/secret/x/manifests/1")
    assert (reply.status, reply.error()[0]) == (404, "NAME_UNKNOWN")


def test_pulls_are_activity_of_the_license(shop: Shop) -> None:
    """The vendor sees who pulled what and how much, as for an image of their own: two platforms are one pull."""
    other = evolve(shop, holder=make_license(shop.stack, "shop", "--repository", "proxy/hub/org/**"))
    image = IMAGES["linux/amd64"]

    def counts() -> list[tuple[int, int]]:
        found = shop.stack.json("activity", "list", "--app", "shop", "--license", other.holder.id)
        rows = [row for row in found if row["source"] == "registry"]
        assert {row["repository"] for row in rows} <= {"proxy/shop/hub/org/image"}
        return sorted((row["count"], row["bytes"] or 0) for row in rows)

    other.get("manifests/1.0")
    assert until(lambda: counts() == [(1, 0)], "the pull is in the activity")
    other.get(f"manifests/{digest_of(image.manifest)}")
    other.get(f"blobs/{digest_of(image.layer)}")
    assert until(lambda: counts() == [(0, len(image.layer)), (1, 0)], "and so are the bytes")


def test_the_cache_is_in_the_activity(shop: Shop) -> None:
    """What nginx had, and what it did not have, of a license's own pulls."""
    other = evolve(shop, holder=make_license(shop.stack, "shop", "--repository", "proxy/hub/org/**"))
    shop.stack.authsvc("upstream", "purge", "hub", "--app", "shop")

    def is_counted(hits: int) -> bool:
        rows = shop.stack.json("activity", "list", "--app", "shop", "--license", other.holder.id)
        linked = [row for row in rows if row["source"] == "registry"]
        found = sorted((row["bytes"] is not None, row["hits"], row["misses"], row["stale"]) for row in linked)
        return found == [(False, hits, 1, 0), (True, hits, 1, 0)]

    image = IMAGES["linux/arm64"]
    for hits in (0, 1):
        for rest in ("manifests/1.0", f"manifests/{digest_of(image.manifest)}", f"blobs/{digest_of(image.layer)}"):
            other.get(rest)
        assert until(partial(is_counted, hits), "it is counted")
    assert "1/2" in shop.stack.authsvc("activity", "list", "--license", other.holder.id).out


def test_a_failed_pull_is_explained(shop: Shop) -> None:
    """By the request id that the client was shown: what was asked for, what the linked registry said, and by whom."""
    reply = shop.client().ask("GET", "/v2/proxy/shop/hub/org/image/manifests/none")
    assert (reply.status, reply.error()[0]) == (404, "MANIFEST_UNKNOWN")
    shown = reply.headers["x-request-id"]

    def explained() -> str | None:
        found = shop.stack.authsvc("audit", "explain", shown, check=False)
        return found.out if found.code == 0 else None

    text = until(explained, "it is in the audit")
    assert "Nothing was pulled" in text
    assert "The linked registry hub, asked for none, answered 404." in text
    assert f"Who: license:{shop.holder.id}, by a registry token." in text
    entries = shop.stack.json("audit", "list", "--event", "pull.failed", "--subject", f"license:{shop.holder.id}")
    (entry,) = [one for one in entries if one.get("reference") == "none"]
    assert (entry["app"], entry["upstream"], entry["upstream_status"]) == ("shop", "hub", 404)


def test_a_webhook_hears_of_pulls_and_pushes(shop: Shop) -> None:
    """Of the first pull of a linked image, of a push, and of a license that was revoked; each once."""
    shop.stack.authsvc("webhook", "add", f"{shop.receiver.url}/hook", "--team", shop.team)
    other = evolve(shop, holder=make_license(shop.stack, "shop", "--repository", "proxy/hub/org/**"))
    for _ in range(2):
        other.get("manifests/1.0")
    vendor, image = make_member(shop.stack, shop.team, "developer"), IMAGES["linux/amd64"]
    Client(shop.stack.port, vendor).push("shop/web", "2.0", image)
    shop.stack.authsvc("license", "revoke", other.holder.id)
    for _ in range(2):
        assert get_token(shop.stack.port, other.holder.account, "repository:shop/web:pull").status == 401

    def told(kind: str) -> list[dict[str, Any]]:
        """Return the events about this license or none; first pulls by earlier tests may be among them."""
        bodies = [json.loads(seen.body) for seen in shop.receiver.seen]
        found = [body["data"] for body in bodies if body["type"] == kind]
        return [one for one in found if "license" not in one or one["license"]["id"] == other.holder.id]

    kinds = ("license.first_pull", "image.pushed", "license.denied")
    until(lambda: all(map(told, kinds)), "three events")
    (first,), (pushed,), (denied,) = map(told, kinds)
    assert first["image"]["repository"] == "proxy/shop/hub/org/image"
    assert pushed["image"] == {"repository": "shop/web", "tag": "2.0", "digest": image.digest}
    assert pushed["by"].startswith("member:")
    assert denied["reason"] == "license_revoked"


def test_beside_nginx_nobody_is_answered(shop: Shop) -> None:
    """Who reaches the edge listener itself gets no credential, whatever step they name, without nginx' secret."""
    repository, data_dir = "proxy/shop/hub/org/image", shop.stack.data_dir
    edge = int((data_dir / "run" / "edge-address").read_text().rpartition(":")[2])
    token = shop.client().token(f"repository:{repository}:pull")
    blob = f"/v2/{repository}/blobs/{digest_of(IMAGES['linux/arm64'].layer)}"

    def answer(*, step: str, **shown: str) -> Reply:
        said = {"X-Authsvc-Step": step, **{f"X-Authsvc-{name}": value for name, value in shown.items()}}
        return ask(edge, "GET", blob, headers={"Authorization": f"Bearer {token}", **said})

    for step in ("", "target", "answer"):
        for shown in ({}, {"Secret": "0" * 64}):
            reply = answer(step=step, **shown)
            assert (reply.status, reply.error()[0]) == (503, "UNAVAILABLE")
            assert not [name for name in reply.headers if name.startswith(("x-linked", "x-accel"))]

    def refused() -> list[dict[str, Any]]:
        return [one for one in shop.stack.events("serve.log") if one["event"] == "proxy.not_from_nginx"]

    assert until(refused, "it is in the log")[0]["level"] == "warning"

    secret = load_nginx_secrets(data_dir / "secrets")[0]
    assert answer(step="target", Secret=secret).headers["x-linked-authorization"].startswith("Basic ")
    assert f'"{secret}"' in (data_dir / "config" / "nginx.conf").read_text()
    assert secret not in (data_dir / "log" / "serve.log").read_text()


def test_a_restart_keeps_the_cache_and_a_dead_registry_is_survived(shop: Shop) -> None:
    """What was pulled once is served while its registry is away, also after a restart of ours."""
    layer = IMAGES["linux/amd64"].layer
    rests = {"manifests/1.0": MULTI, f"blobs/{digest_of(layer)}": layer}
    for rest, body in rests.items():
        assert shop.get(rest) == body
    shop.stack.stop()
    shop.upstream.close()
    shop.stack.start()
    for rest, body in rests.items():
        assert shop.get(rest) == body


def test_unlinking_ends_it(shop: Shop) -> None:
    """At once, for what is cached too."""
    shop.stack.authsvc("upstream", "unlink", "hub", "--app", "shop", "--yes")
    reply = shop.client().ask("GET", "/v2/proxy/shop/hub/org/image/manifests/1.0")

    assert (reply.status, reply.error()[0]) == (404, "NAME_UNKNOWN")


def test_without_the_secret_of_nginx(shop: Shop) -> None:
    """Pulls of linked registries are refused, and everything else is served; the log says what is missing."""
    (shop.stack.data_dir / "secrets" / "nginx.secret").unlink()
    os.kill(shop.stack.pid("serve"), signal.SIGKILL)  # it is started again, and reads what is there then

    def refused() -> bool:
        reply = ask(shop.stack.port, "GET", "/v2/proxy/shop/hub/org/image/manifests/1.0")
        return reply.status == 503 and "nginx, which has not shown its secret" in reply.error()[1]

    until(refused, "a pull is refused")
    assert "proxy.no_secret" in [event["event"] for event in shop.stack.events("serve.log")]
    scope = "repository:proxy/shop/hub/org/image:pull"
    until(lambda: get_token(shop.stack.port, shop.holder.account, scope).status == 200, "tokens are issued")
