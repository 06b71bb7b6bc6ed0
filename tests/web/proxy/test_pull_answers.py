"""What clients of linked images are told when their registry does not give them, through a real nginx."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve

from tests.support.front import NGINX_SECRET
from tests.support.oci import digest_of
from tests.support.ports import free_port as unused_port
from tests.support.pull_through import PullThrough, code_of
from tests.support.upstream_links import origin_of
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority
from tests.support.waiting import PATIENCE
from tests.web.proxy.conftest import IMAGE

LAYER = digest_of(IMAGE.layer)
REPOSITORY = "proxy/shop/stub/org/image"


@pytest.mark.parametrize("step", ["target", "answer"])
async def test_a_token_that_ends_meanwhile(pulls: PullThrough, step: str) -> None:
    """After an answer of the linked registry nobody is challenged: a 401 of its own would be among the headers."""
    token = pulls.token(REPOSITORY)
    pulls.clock.ahead += timedelta(minutes=10)
    lines = (f"Authorization: Bearer {token}", f"X-Authsvc-Secret: {NGINX_SECRET}", f"X-Authsvc-Step: {step}")
    request = "\r\n".join((f"GET /v2/{REPOSITORY}/blobs/{LAYER} HTTP/1.1", "Host: x", *lines, "", ""))
    answer = await evolve(pulls.front, port=pulls.edge_port).ask(request.encode())

    assert code_of(answer) == ((401, "UNAUTHORIZED") if step == "target" else (503, "UNAVAILABLE"))
    assert ("www-authenticate" in answer.headers) == (step == "target")


async def test_every_error_says_what_it_is(pulls: PullThrough, stub: StubUpstream) -> None:
    """In JSON, also where nginx has looked into its cache before; and a blob is bytes, whatever its registry says."""
    blob = f"/v2/org/image/blobs/{LAYER}"
    stub.answers[blob] = Answer(200, (("Content-Type", "text/html"),), IMAGE.layer)
    for _ in range(2):
        assert (await pulls.get(f"blobs/{LAYER}")).headers["content-type"] == "application/octet-stream"
    assert (await pulls.get(f"blobs/{LAYER}", "Range: bytes=0-1")).headers["content-type"] == "application/octet-stream"
    stub.answers[blob] = Answer(403)
    stub.users.clear()
    pulls.links.put(evolve(pulls.links.links["shop", "stub"], credential_version=2))
    for rest in (f"blobs/{LAYER}", f"blobs/sha256:{'0' * 64}", "manifests/9.9", f"manifests/sha256:{'0' * 64}", "x"):
        answer = await pulls.get(rest)
        assert answer.status >= 400
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.body.count(b"errors") == 1


def wrong_name(authority: UpstreamAuthority) -> CertificateFiles:
    """Return the certificate of another host."""
    return authority.issue("other.example")


def expired(authority: UpstreamAuthority) -> CertificateFiles:
    """Return one that ended yesterday."""
    return authority.issue("localhost", expired=True)


def unknown(authority: UpstreamAuthority) -> CertificateFiles:
    """Return one that nobody vouches for."""
    return authority.issue("localhost", trusted=False)


async def check_that_it_stands_in(pulls: PullThrough) -> None:
    """An image that was pulled before is served, marked; of others the client is told that it cannot be had."""
    pulls.clock.ahead += timedelta(minutes=2)
    for rest, body in (("manifests/1.0", IMAGE.manifest), (f"blobs/{LAYER}", IMAGE.layer)):
        answer = await pulls.get(rest)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers.get("warning", "").startswith("110 ") == rest.startswith("manifests")
    for rest in ("manifests/9.9", f"blobs/{digest_of(IMAGE.config)}"):
        assert code_of(await pulls.get(rest)) == (502, "UNAVAILABLE")


@pytest.mark.parametrize("certificate", [wrong_name, expired, unknown])
async def test_a_wrong_certificate(
    pulls: PullThrough, authority: UpstreamAuthority, certificate: Callable[[UpstreamAuthority], CertificateFiles]
) -> None:
    """It is as if the registry were away, for authsvc and for nginx, and no request goes there."""
    for rest in ("manifests/1.0", f"blobs/{LAYER}"):
        assert (await pulls.get(rest)).status == 200
    with StubUpstream(certificate(authority).server_context()) as impostor:
        pulls.links.put(evolve(pulls.links.links["shop", "stub"], origin=origin_of(impostor)))
        await check_that_it_stands_in(pulls)

        assert not impostor.seen


async def test_a_registry_that_is_down(pulls: PullThrough, stub: StubUpstream) -> None:
    """Nobody listens there."""
    for rest in ("manifests/1.0", f"blobs/{LAYER}"):
        assert (await pulls.get(rest)).status == 200
    down = evolve(origin_of(stub), port=unused_port())
    pulls.links.put(evolve(pulls.links.links["shop", "stub"], origin=down))
    await check_that_it_stands_in(pulls)


async def test_a_registry_that_is_slow(pulls: PullThrough, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time, and then it is as if it were away; it is not waited for again and again."""
    for rest in ("manifests/1.0", f"blobs/{LAYER}"):
        assert (await pulls.get(rest)).status == 200
    stub.answers["/v2/org/image/manifests/1.0"] = stub.answers["/v2/org/image/manifests/9.9"] = Answer(delay=PATIENCE)
    monkeypatch.setattr(pulls.client.session, "_deadline", 0.2)
    pulls.clock.ahead += timedelta(minutes=2)
    before = len(stub.asked("manifests/1.0"))
    answers = [await pulls.get("manifests/1.0") for _ in range(3)]

    assert {(one.status, one.body, one.headers["warning"][:4]) for one in answers} == {(200, IMAGE.manifest, "110 ")}
    assert len(stub.asked("manifests/1.0")) <= before + 1
    assert code_of(await pulls.get("manifests/9.9")) == (502, "UNAVAILABLE")
    assert (await pulls.get(f"blobs/{LAYER}")).body == IMAGE.layer
