"""Pulls of linked images through the real endpoint, a real nginx and Redis, from registries that speak real TLS."""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from hashlib import sha256

import pytest
from attrs import evolve

from authsvc.web.proxy.accel import FETCH_BLOB
from tests.support.attached import platform_index
from tests.support.front import NGINX_SECRET
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.ports import free_port as unused_port
from tests.support.pull_through import PullThrough, code_of
from tests.support.upstream_links import make_link, origin_of
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE
from tests.web.proxy.conftest import IMAGE

LAYER = digest_of(IMAGE.layer)
REPOSITORY = "proxy/shop/stub/org/image"


async def test_an_image_is_pulled(pulls: PullThrough, stub: StubUpstream) -> None:
    """Manifest by tag, then its blobs; the second pull asks the linked registry for nothing."""
    for _ in range(2):
        head = await pulls.head("manifests/1.0")
        manifest = await pulls.get("manifests/1.0")
        by_digest = await pulls.get(f"manifests/{digest_of(IMAGE.manifest)}")
        assert head.headers["docker-content-digest"] == digest_of(IMAGE.manifest)
        assert head.headers["content-length"] == str(len(IMAGE.manifest))
        for answer in (manifest, by_digest):
            assert (answer.status, answer.body) == (200, IMAGE.manifest)
            assert answer.headers["content-type"] == MANIFEST
        for blob in (IMAGE.config, IMAGE.layer):
            size = (await pulls.head(f"blobs/{digest_of(blob)}")).headers["content-length"]
            assert size == str(len(blob))
            answer = await pulls.get(f"blobs/{digest_of(blob)}")
            assert (answer.status, answer.body) == (200, blob)
    asked = Counter(f"{one.method} {one.path.partition('/org/image/')[2]}" for one in stub.seen if "/org/" in one.path)

    assert asked["HEAD manifests/1.0"] + asked["GET manifests/1.0"] <= 2
    assert asked[f"GET blobs/{LAYER}"] == 1
    assert asked[f"GET manifests/{digest_of(IMAGE.manifest)}"] == 1
    assert ("up-1", "good") in pulls.health.news


async def test_nothing_of_the_client_or_of_ours_arrives(pulls: PullThrough, stub: StubUpstream) -> None:
    """No token, cookie, address or header of ours; the credential only where the token is fetched."""
    cookie = ("Cookie: a=b", "User-Agent: client/1", "X-Forwarded-For: 6.6.6.6")
    await pulls.get("manifests/1.0", *cookie)
    await pulls.get(f"blobs/{LAYER}", *cookie)

    token = pulls.token(REPOSITORY).split(".")[0]
    seen = json.dumps([[one.target, *one.headers.items()] for one in stub.seen])
    for word in (token, "a=b", "client/1", "6.6.6.6", "x-authsvc", "x-linked", "127.0.0.1"):
        assert word not in seen.lower()
    assert {one.path for one in stub.seen if (one.authorization or "").startswith("Basic")} == {"/token"}


@pytest.mark.parametrize(
    "shown",
    [
        [],
        [""],
        ["0" * 64],
        [NGINX_SECRET[:-1]],
        [f"{NGINX_SECRET}0"],
        [NGINX_SECRET.upper()],
        [sha256(NGINX_SECRET.encode()).hexdigest()],
        [NGINX_SECRET, NGINX_SECRET],
        ["0" * 64, NGINX_SECRET],
    ],
)
async def test_nginx_alone_is_answered(pulls: PullThrough, stub: StubUpstream, shown: list[str]) -> None:
    """Without exactly its secret there is no answer at any step, and no word of the linked registry."""
    lines = [f"X-Authsvc-Secret: {one}" for one in shown]
    for step in ("", "target", "answer", "manifest"):
        for rest in (f"blobs/{LAYER}", f"manifests/{digest_of(IMAGE.manifest)}", "tags/list"):
            answer = await pulls.ask_beside_nginx(REPOSITORY, rest, f"X-Authsvc-Step: {step}", *lines)
            assert code_of(answer) == (503, "UNAVAILABLE")
            assert not [name for name in answer.headers if name.startswith(("x-linked", "x-accel"))]
    assert not stub.seen
    # One line in a minute, without what was shown.
    log = pulls.log.getvalue()
    assert log.count("proxy.not_from_nginx") == 1
    assert not [one for one in shown if one and one in log]


async def test_its_secret_opens_the_steps(pulls: PullThrough) -> None:
    """What the test before expects to be refused is answered: the credential is there."""
    answer = await pulls.ask_beside_nginx(
        REPOSITORY, f"blobs/{LAYER}", "X-Authsvc-Step: target", f"X-Authsvc-Secret: {NGINX_SECRET}"
    )

    assert answer.status == FETCH_BLOB
    assert answer.headers["x-linked-authorization"].startswith("Bearer ")


@pytest.mark.parametrize("rest", ["manifests/2.0", f"manifests/sha256:{'0' * 64}", f"blobs/sha256:{'0' * 64}"])
async def test_what_is_not_there(pulls: PullThrough, rest: str) -> None:
    """A 404 in the words of a registry, and asked again next time."""
    code = "BLOB_UNKNOWN" if rest.startswith("blobs") else "MANIFEST_UNKNOWN"

    assert code_of(await pulls.get(rest)) == (404, code)


async def test_only_what_is_exposed(pulls: PullThrough, stub: StubUpstream) -> None:
    """A repository outside the link's patterns, and a link of another app, do not exist; nobody is asked."""
    stub.put("other/image", "1.0", IMAGE)
    for repository in ("proxy/shop/stub/other/image", "proxy/shop/stubb/org/image", "proxy/shop2/stub/org/image"):
        for rest in ("manifests/1.0", f"manifests/{digest_of(IMAGE.manifest)}", f"blobs/{LAYER}", "tags/list"):
            assert code_of(await pulls.get(rest, repository=repository)) == (404, "NAME_UNKNOWN")

    assert not stub.seen


async def test_an_ended_link_ends_at_once(pulls: PullThrough) -> None:
    """Also for what is cached: every request is decided."""
    assert (await pulls.get(f"blobs/{LAYER}")).status == 200
    pulls.links.links.clear()

    assert code_of(await pulls.get(f"blobs/{LAYER}")) == (404, "NAME_UNKNOWN")


async def test_tags_and_referrers(pulls: PullThrough, stub: StubUpstream) -> None:
    """Lists come page by page, with the next one on our own host."""
    for tag in ("1.1", "1.2", "2.0"):
        stub.put("org/image", tag, IMAGE)
    first = await pulls.get("tags/list?n=3")
    assert json.loads(first.body) == {"name": REPOSITORY, "tags": ["1.0", "1.1", "1.2"]}
    assert first.headers["link"] == f'</v2/{REPOSITORY}/tags/list?last=1.2&n=3>; rel="next"'
    assert json.loads((await pulls.get("tags/list?last=1.2&n=3")).body)["tags"] == ["2.0"]

    digest = digest_of(IMAGE.manifest)
    assert code_of(await pulls.get(f"referrers/{digest}")) == (404, "MANIFEST_UNKNOWN")
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    stub.answers[f"/v2/org/image/referrers/{digest}"] = Answer(200, (("Content-Type", INDEX),), index)
    answer = await pulls.get(f"referrers/{digest}")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, index, INDEX)


async def test_a_tag_is_looked_up_once_a_minute(pulls: PullThrough, stub: StubUpstream) -> None:
    """Many clients at once are one question, and a changed tag is seen a minute later."""
    answers = await asyncio.gather(*(pulls.head("manifests/1.0") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len([one for one in stub.seen if one.path.endswith("/manifests/1.0")]) <= 2  # one 401 may come first

    other = Image(b"two")
    stub.put("org/image", "1.0", other)
    assert (await pulls.get("manifests/1.0")).body == IMAGE.manifest
    pulls.clock.ahead += timedelta(seconds=61)
    assert (await pulls.get("manifests/1.0")).body == other.manifest


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(429, (("Retry-After", "7"),)), (429, "TOOMANYREQUESTS")),
        (Answer(500), (502, "UNAVAILABLE")),
        (Answer(401), (502, "UNAVAILABLE")),
        (Answer(raw=b""), (502, "UNAVAILABLE")),
    ],
    ids=["limit", "error", "credential", "closed"],
)
async def test_a_failing_registry(
    pulls: PullThrough, stub: StubUpstream, answer: Answer, code: tuple[int, str]
) -> None:
    """The last known image for a week, marked; after that, and for an unknown tag, an error that says so."""
    assert (await pulls.get("manifests/1.0")).status == 200
    for tag in ("1.0", "9.9"):
        stub.answers[f"/v2/org/image/manifests/{tag}"] = answer
    pulls.clock.ahead += timedelta(minutes=2)

    stale = await pulls.get("manifests/1.0")
    assert (stale.status, stale.body) == (200, IMAGE.manifest)
    assert stale.headers["warning"].startswith("110 ")
    unknown = await pulls.get("manifests/9.9")
    assert code_of(unknown) == code
    assert unknown.headers.get("retry-after") == ("7" if answer.status == 429 else None)

    # It is not asked again and again.
    asked = len(stub.seen)
    for _ in range(3):
        assert (await pulls.get("manifests/1.0")).body == IMAGE.manifest
    assert len(stub.seen) == asked

    pulls.clock.ahead += timedelta(days=7)
    assert code_of(await pulls.get("manifests/1.0")) == code


async def test_a_registry_that_is_gone(pulls: PullThrough, stub: StubUpstream) -> None:
    """What is cached is served, whole images of it, and what is not is a 502 that names the registry."""
    for rest in ("manifests/1.0", f"blobs/{LAYER}"):
        await pulls.get(rest)
    port = unused_port()
    gone = evolve(pulls.links.links["shop", "stub"], origin=evolve(origin_of(stub), port=port))
    pulls.links.put(gone)

    for rest, body in (
        ("manifests/1.0", IMAGE.manifest),
        (f"manifests/{digest_of(IMAGE.manifest)}", IMAGE.manifest),
        (f"blobs/{LAYER}", IMAGE.layer),
    ):
        answer = await pulls.get(rest)
        assert (answer.status, answer.body) == (200, body)
    missing = await pulls.get(f"blobs/{digest_of(IMAGE.config)}")
    assert code_of(missing) == (502, "UNAVAILABLE")
    assert f"localhost:{port}".encode() in missing.body


async def test_a_deleted_tag_is_gone_at_once(pulls: PullThrough, stub: StubUpstream) -> None:
    """A registry that says 404 is believed."""
    await pulls.get("manifests/1.0")
    del stub.manifests["org/image", "1.0"]
    pulls.clock.ahead += timedelta(minutes=2)

    assert code_of(await pulls.get("manifests/1.0")) == (404, "MANIFEST_UNKNOWN")


async def test_a_manifest_of_another_digest(pulls: PullThrough, stub: StubUpstream) -> None:
    """What does not hash to its digest is an error, is not cached, and is never served."""
    digest = digest_of(IMAGE.manifest)
    stub.answers[f"/v2/org/image/manifests/{digest}"] = Answer(200, (("Content-Type", MANIFEST),), b"{}")
    assert code_of(await pulls.get(f"manifests/{digest}")) == (502, "UNAVAILABLE")
    stub.answers.clear()

    assert (await pulls.get(f"manifests/{digest}")).body == IMAGE.manifest


async def test_a_blob_on_another_host(pulls: PullThrough, stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """A redirect is followed with the URI as it was signed, and without the credential."""
    with StubUpstream(authority.issue().server_context()) as cdn:
        place = f"{cdn.url}/blob?X-Amz-Signature=a%2Fb%20c+;%25"
        stub.answers[f"/v2/org/image/blobs/{LAYER}"] = Answer(307, (("Location", place),))
        cdn.answers["/blob"] = Answer(200, (("Content-Type", "text/html"), ("Set-Cookie", "a=b")), IMAGE.layer)
        answer = await pulls.get(f"blobs/{LAYER}")

        assert (answer.status, answer.body) == (200, IMAGE.layer)
        assert [one.target for one in cdn.seen] == ["/blob?X-Amz-Signature=a%2Fb%20c+;%25"]
        assert cdn.seen[0].authorization is None
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "set-cookie" not in answer.headers
        # A relative redirect on that host stays there.
        stub.answers[f"/v2/org/image/blobs/{digest_of(IMAGE.config)}"] = Answer(307, (("Location", f"{cdn.url}/a"),))
        cdn.answers["/a"] = Answer(302, (("Location", "/b"),))
        cdn.answers["/b"] = Answer(200, (), IMAGE.config)
        assert (await pulls.get(f"blobs/{digest_of(IMAGE.config)}")).body == IMAGE.config


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:6379/",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://0x7f.1/x",
        "file:///etc/passwd",
        "https://user@evil.example/x",
        "//evil.example/x",
        "",
        "/v2/\\evil",
    ],
)
async def test_a_redirect_to_nowhere(pulls: PullThrough, stub: StubUpstream, place: str) -> None:
    """A redirect into a network of ours, to plain http or to nonsense is an error, and nothing is fetched."""
    stub.answers[f"/v2/org/image/blobs/{LAYER}"] = Answer(307, (("Location", place),) if place else ())

    assert code_of(await pulls.get(f"blobs/{LAYER}")) == (502, "UNAVAILABLE")


async def test_redirects_in_a_circle(pulls: PullThrough, stub: StubUpstream) -> None:
    """They end, and are told as such."""
    stub.answers["/x"] = stub.answers[f"/v2/org/image/blobs/{LAYER}"] = Answer(307, (("Location", f"{stub.url}/x"),))
    answer = await pulls.get(f"blobs/{LAYER}")

    assert code_of(answer) == (502, "UNAVAILABLE")
    assert b"redirects again and again" in answer.body
    assert len(stub.asked("/x")) == 3


async def test_a_token_that_ended_is_renewed_once(pulls: PullThrough, stub: StubUpstream) -> None:
    """The client sees nothing of it."""
    await pulls.get(f"blobs/{digest_of(IMAGE.config)}")
    stub.tokens.clear()
    pulls.seconds.seconds += 5  # a token is believed to be new for two
    answer = await pulls.get(f"blobs/{LAYER}")

    assert (answer.status, answer.body) == (200, IMAGE.layer)
    # A registry that takes no token at all is not asked for ever.
    stub.answers[f"/v2/org/image/blobs/{'sha256:' + '0' * 64}"] = Answer(401)
    assert code_of(await pulls.get(f"blobs/sha256:{'0' * 64}")) == (502, "UNAVAILABLE")
    assert len(stub.asked("/blobs/sha256:000")) == 2


async def test_two_teams_and_two_credentials(pulls: PullThrough, stub: StubUpstream) -> None:
    """Two hundred pulls at once of one registry: each gets what its own credential opens, and none the other's.

    To each account the registry shows other bytes under the same digest, so that nothing crosses unseen.
    """
    first = pulls.links.links["shop", "stub"]
    pulls.links.put(evolve(first, id="up-2", team="other", app="store", username="bob"))
    path, owns = f"/v2/org/image/blobs/{LAYER}", {"shop": "alice", "store": "bob"}
    stub.answers_of = {(user, path): Answer(200, body=f"of {user}".encode() * 5000) for user in owns.values()}
    apps = [app for _ in range(100) for app in owns]
    answers = await asyncio.gather(
        *(pulls.get(f"blobs/{LAYER}", repository=f"proxy/{app}/stub/org/image") for app in apps)
    )

    for app, answer in zip(apps, answers, strict=True):
        assert (answer.status, answer.body) == (200, stub.answers_of[owns[app], path].body)
    fetched = [(one.authorization or "").partition(" ")[2] for one in stub.seen if one.path == path]
    assert Counter(map(stub.owners.get, fetched)) == {"alice": 1, "bob": 1}


async def test_a_linked_registry_reads_nothing_of_another_team(
    pulls: PullThrough, authority: UpstreamAuthority
) -> None:
    """Its headers are stored with its blob, and ask for what another team has cached on every pull of it."""
    await pulls.get("manifests/1.0")
    await pulls.get(f"blobs/{LAYER}")
    foreign = (f"blob:acme:up-1:1:0:org/image:{LAYER}", f"manifest:acme:up-1:1:0:org/image:{digest_of(IMAGE.manifest)}")
    cached = b"".join(file.read_bytes() for file in (pulls.folder / "cache").rglob("*") if file.is_file())
    with StubUpstream(authority.issue().server_context()) as evil:
        pulls.links.put(make_link(origin_of(evil), id="up-2", team="evil", app="evil", name="stub"))
        for number, key in enumerate(foreign):
            assert f"KEY: {key}\n".encode() in cached
            digest = f"sha256:{number:064}"
            headers = (("X-Accel-Redirect", "/-/cached"), ("X-Linked-Key", key))
            evil.answers[f"/v2/x/y/blobs/{digest}"] = Answer(200, headers, b"its own")
            answers = [await pulls.get(f"blobs/{digest}", repository="proxy/evil/stub/x/y") for _ in range(3)]

            assert {(answer.status, answer.body) for answer in answers} == {(200, b"its own")}
            assert "x-linked-key" not in answers[-1].headers


async def test_another_credential_and_a_purge_begin_anew(pulls: PullThrough, stub: StubUpstream) -> None:
    """What was fetched before is not served any more."""
    link = pulls.links.links["shop", "stub"]
    for changed in (link, evolve(link, credential_version=2), evolve(link, credential_version=2, purge_count=1)):
        stub.users["alice"] = "first" if changed is link else "renewed"
        pulls.links.put(changed)
        assert (await pulls.get(f"blobs/{LAYER}")).body == IMAGE.layer

    assert len([one for one in stub.asked(f"/blobs/{LAYER}") if one.authorization]) == 3


async def test_another_certificate(pulls: PullThrough, stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """A registry that shows another's certificate, an expired one or one of nobody we know gets no request."""
    for wrong in (
        authority.issue("other.example"),
        authority.issue("localhost", expired=True),
        authority.issue("localhost", trusted=False),
    ):
        with StubUpstream(wrong.server_context()) as impostor:
            impostor.put("org/image", "1.0", IMAGE)
            stub.answers[f"/v2/org/image/blobs/{LAYER}"] = Answer(307, (("Location", f"{impostor.url}/x"),))
            assert code_of(await pulls.get(f"blobs/{LAYER}")) == (502, "UNAVAILABLE")
            assert not impostor.seen


async def test_several_platforms(pulls: PullThrough, stub: StubUpstream) -> None:
    """An index is passed on as it is, and its images are there."""
    images = {"linux/amd64": IMAGE, "linux/arm64": Image(b"arm")}
    index = json.dumps(platform_index(images)).encode()
    for image in images.values():
        stub.put("org/image", digest_of(image.manifest), image)
    stub.put_manifest("org/image", "multi", INDEX, index)
    answer = await pulls.get("manifests/multi")

    assert (answer.body, answer.headers["content-type"]) == (index, INDEX)
    for row in json.loads(answer.body)["manifests"]:
        assert digest_of((await pulls.get(f"manifests/{row['digest']}")).body) == row["digest"]


async def test_a_slow_registry_slows_nobody_else(pulls: PullThrough, stub: StubUpstream) -> None:
    """While one hangs, another link and an image of our own are answered."""
    with StubUpstream(stub.tls) as other:
        other.put("org/image", "1.0", IMAGE)
        link = evolve(make_link(origin_of(other)), id="up-9", name="fast")
        pulls.links.put(link)
        stub.answers["/v2/"] = stub.answers["/v2/org/image/manifests/1.0"] = Answer(delay=PATIENCE)
        slow = [asyncio.ensure_future(pulls.get("manifests/1.0")) for _ in range(30)]
        await asyncio.sleep(0.05)

        assert (await pulls.get("manifests/1.0", repository="proxy/shop/fast/org/image")).status == 200
        assert (await pulls.front.get("/v2/acme/x/tags/list")).status == 200
        assert not any(one.done() for one in slow)
        stub.answers.clear()
        stub.hang_up()
        assert {answer.status for answer in await asyncio.gather(*slow)} == {200}
