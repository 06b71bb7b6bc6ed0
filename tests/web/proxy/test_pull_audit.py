"""Which pulls of linked images go to the audit: those that are not served, and tags that mean what they meant last."""

from datetime import timedelta

import pytest

from tests.support.oci import digest_of
from tests.support.pull_through import PullThrough
from tests.support.upstream_stub import Answer, StubUpstream
from tests.web.proxy.conftest import IMAGE

LAYER = digest_of(IMAGE.layer)
REPOSITORY = "proxy/shop/stub/org/image"


def said(pulls: PullThrough) -> list[tuple[str, str, int | None, str | None]]:
    """Return what was said: what of, by which error, with which status, and what was served in its place."""
    for one in pulls.unserved:
        assert (one.subject, one.client.address) == ("license:abc", "127.0.0.1")
        assert (one.image.app, one.request_id) == ("shop", "r1")
    return [
        (one.image.reference, type(one.error).__name__, getattr(one.error, "status", None), one.stale)
        for one in pulls.unserved
    ]


async def test_what_is_served_is_not_there(pulls: PullThrough) -> None:
    """Nothing of it costs the audit anything, cached or not; nor do referrers that are not there."""
    for _ in range(2):
        await pulls.head("manifests/1.0")
        await pulls.get("manifests/1.0")
        await pulls.get(f"blobs/{LAYER}")
    await pulls.get("tags/list")
    await pulls.get(f"referrers/{digest_of(IMAGE.manifest)}")

    assert said(pulls) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "UpstreamRefused"), (404, "UpstreamNotFound"), (429, "UpstreamLimited"), (500, "UpstreamUnavailable")],
)
async def test_the_status_of_the_linked_registry(
    pulls: PullThrough, stub: StubUpstream, status: int, kind: str
) -> None:
    """Of a tag, of a manifest, which nginx asks authsvc for, and of a blob, which nginx asks the registry for."""
    digest = digest_of(IMAGE.manifest)
    for rest in (f"blobs/{LAYER}", "manifests/1.0", f"manifests/{digest}"):
        stub.answers[f"/v2/org/image/{rest}"] = Answer(status)
        await pulls.get(rest)

    assert said(pulls) == [(reference, kind, status, None) for reference in (LAYER, "1.0", digest)]
    assert {one.image.team for one in pulls.unserved} == {"acme"}


async def test_where_it_has_redirected_to(pulls: PullThrough, stub: StubUpstream) -> None:
    """The last status counts; without an answer there is none."""
    blob = f"/v2/org/image/blobs/{LAYER}"
    stub.answers[blob] = Answer(307, (("Location", f"{stub.url}/x"),))
    for answer in (Answer(410), Answer(raw=b"")):
        stub.answers["/x"] = answer
        await pulls.get(f"blobs/{LAYER}")
    stub.answers[blob] = Answer(307, (("Location", "http://10.0.0.1/"),))
    await pulls.get(f"blobs/{LAYER}")

    assert said(pulls) == [(LAYER, "UpstreamUnavailable", status, None) for status in (410, None, 307)]


async def test_a_refused_credential(pulls: PullThrough, stub: StubUpstream) -> None:
    """The token server has answered for it."""
    stub.users["alice"] = "another"
    await pulls.get("manifests/1.0")

    assert said(pulls) == [("1.0", "UpstreamRefused", 401, None)]


async def test_a_stale_tag(pulls: PullThrough, stub: StubUpstream) -> None:
    """Each pull, with why; the image is served."""
    await pulls.get("manifests/1.0")
    stub.answers["/v2/org/image/manifests/1.0"] = Answer(429, (("Retry-After", "7"),))
    pulls.clock.ahead += timedelta(minutes=2)
    for _ in range(2):
        assert (await pulls.get("manifests/1.0")).status == 200

    assert said(pulls) == [("1.0", "UpstreamLimited", 429, digest_of(IMAGE.manifest))] * 2


async def test_what_is_not_linked_or_shown(pulls: PullThrough) -> None:
    """Nobody was asked; of a link that does not exist there is no team."""
    await pulls.get("manifests/1.0", repository="proxy/shop/stub/other/image")
    await pulls.get("manifests/1.0", repository="proxy/shop/none/org/image")

    assert said(pulls) == [("1.0", "UpstreamNotFound", None, None)] * 2
    assert [one.image.team for one in pulls.unserved] == ["acme", None]


async def test_who_is_not_known(pulls: PullThrough) -> None:
    """Without a token that opens the repository there is nobody to write down."""
    for token in ("x", pulls.token("proxy/shop/stub/org/other")):
        request = f"GET /v2/{REPOSITORY}/manifests/9.9 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        assert (await pulls.front.ask(request.encode())).status == 401

    assert said(pulls) == []


async def test_what_is_remembered(pulls: PullThrough) -> None:
    """A registry that has just said that it does not have something is not asked again, and has said so."""
    for _ in range(2):
        await pulls.get("manifests/9.9")

    assert said(pulls) == [("9.9", "UpstreamNotFound", 404, None)] * 2
