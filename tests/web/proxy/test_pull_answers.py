"""What clients of linked images are told when there is no image, through a real nginx."""

from datetime import timedelta

import pytest
from attrs import evolve

from tests.support.front import NGINX_SECRET
from tests.support.oci import digest_of
from tests.support.pull_through import PullThrough, code_of
from tests.support.upstream_stub import Answer, StubUpstream
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
