"""Manifests, tags, referrers and blobs of external registries that answer well, badly, and elsewhere.

Attacks 33, 34, 37 and 38; CVE-2026-33540, CVE-2026-85747 (digest not checked), CVE-2026-88887 (Link header),
CVE-2024-3727 (digest in a path), CVE-2026-32591 (redirects).
"""

import base64
import json
from collections.abc import Iterator

import pytest

from authsvc.errors import (
    UpstreamFailed,
    UpstreamLimited,
    UpstreamNotFound,
    UpstreamRefused,
    UpstreamUnavailable,
)
from authsvc.registries.upstream.client import MAX_MANIFEST, UpstreamClient, UpstreamManifestHeaders
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from tests.support.oci import INDEX, MANIFEST, Image, digest_of, index_of
from tests.support.upstream_links import Clock, Names, make_link, origin_of, upstream_client
from tests.support.upstream_registry import USERS, UpstreamRegistry, upstream_registry
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

IMAGE = Image(b"content")
OTHER = Image(b"other")
SECRET = {("up-1", 1): "s3cret: ü"}
MANIFEST_PATH = "/v2/org/app/manifests/v1"
BASIC = "Basic " + base64.b64encode("robot:s3cret: ü".encode()).decode()


@pytest.fixture(params=["none", "basic", "bearer"])
def auth(request: pytest.FixtureRequest) -> str:
    """Return how a registry wants to be signed in to."""
    return str(request.param)


@pytest.fixture(scope="module")
def real(authority: UpstreamAuthority) -> Iterator[UpstreamRegistry]:
    """Run a real registry of somebody else."""
    with upstream_registry(authority) as running:
        running.push("org/app", "v1", IMAGE)
        running.push_manifest("org/app", "multi", INDEX, index_of(IMAGE.manifest))
        yield running


def private(stub: StubUpstream, auth: str = "bearer") -> UpstreamLink:
    """Let a stub have an image for ``robot`` alone, and return a link with its credential."""
    stub.auth, stub.users = auth, {"robot": "s3cret: ü"} if auth != "none" else {}
    stub.put("org/app", "v1", IMAGE)
    return make_link(origin_of(stub), username="robot", sealed_secret="sealed")


async def failure(client: UpstreamClient, link: UpstreamLink, reference: str = "v1") -> UpstreamFailed:
    """Return why a manifest is not to be had."""
    with pytest.raises(UpstreamFailed) as error:
        await client.get_manifest(link, "org/app", reference)
    return error.value


async def test_a_good_registry(stub: StubUpstream, authority: UpstreamAuthority, auth: str) -> None:
    """By tag and digest, with every way of signing in; the bytes are those of the registry."""
    link = private(stub, auth)
    async with upstream_client(authority, secrets=SECRET) as client:
        by_tag = await client.get_manifest(link, "org/app", "v1")
        by_digest = await client.get_manifest(link, "org/app", IMAGE.digest)
        head = await client.head_manifest(link, "org/app", "v1")
        tags = await client.list_tags(link, "org/app")
        blob = await client.blob_target(link, "org/app", digest_of(IMAGE.layer))

    assert by_tag == by_digest
    assert (by_tag.content, by_tag.media_type, by_tag.digest) == (IMAGE.manifest, MANIFEST, IMAGE.digest)
    assert head == UpstreamManifestHeaders(IMAGE.digest, MANIFEST, len(IMAGE.manifest))
    assert (tags.names, tags.complete) == (("v1",), True)
    assert (blob.address.authority, blob.origin) == (f"127.0.0.1:{stub.port}", link.origin)
    assert blob.uri == f"/v2/org/app/blobs/{digest_of(IMAGE.layer)}"
    shown = None if blob.authorization is None else blob.authorization.reveal()
    assert shown == {"none": None, "basic": BASIC, "bearer": f"Bearer {next(iter(stub.tokens), '')}"}[auth]


async def test_a_real_registry(real: UpstreamRegistry, authority: UpstreamAuthority) -> None:
    """Debian's docker-registry with htpasswd and TLS."""
    link = make_link(Origin("https", "localhost", real.port), username="bob", sealed_secret="sealed")
    async with upstream_client(authority, secrets={("up-1", 1): USERS["bob"], ("up-1", 2): "wrong"}) as client:
        found = await client.get_manifest(link, "org/app", "v1")
        index = await client.get_manifest(link, "org/app", "multi")
        head = await client.head_manifest(link, "org/app", IMAGE.digest)
        tags = await client.list_tags(link, "org/app")
        assert (found.content, found.digest, head.digest) == (IMAGE.manifest, IMAGE.digest, IMAGE.digest)
        assert (index.media_type, tags.names) == (INDEX, ("multi", "v1"))
        for reference in ("v2", OTHER.digest):
            assert isinstance(await failure(client, link, reference), UpstreamNotFound)
        with pytest.raises(UpstreamNotFound):
            await client.list_tags(link, "org/nothing")
        with pytest.raises(UpstreamNotFound):  # 2.8 has no such interface
            await client.referrers(link, "org/app", IMAGE.digest)
        wrong = make_link(link.origin, username="bob", sealed_secret="sealed", credential_version=2)
        refused = await failure(client, wrong)
        assert isinstance(refused, UpstreamRefused)
        assert refused.credential


@pytest.mark.parametrize("repository", ["org/app", "org/../other", "org/app/manifests/v1?", "ORG/app", "a.com:5/b", ""])
async def test_nothing_outside_the_link(stub: StubUpstream, authority: UpstreamAuthority, repository: str) -> None:
    """What the link does not show, and what is no repository, is not asked for."""
    stub.put("org/app", "v1", IMAGE)
    link = make_link(origin_of(stub), repositories=("shown/**",))
    async with upstream_client(authority) as client:
        for ask in (
            client.get_manifest(link, repository, "v1"),
            client.head_manifest(link, repository, "v1"),
            client.list_tags(link, repository),
            client.referrers(link, repository, IMAGE.digest),
            client.blob_target(link, repository, IMAGE.digest),
            client.renew(link, repository),
        ):
            with pytest.raises(UpstreamNotFound):
                await ask
    assert stub.connections == 0


@pytest.mark.parametrize(
    "reference",
    ["", "../v1", "a/b", "v1\r\nX: y", "v 1", "x" * 129, "sha256:../../x", "sha256:" + "A" * 64, "v1?x", "v1#x", "é"],
)
async def test_references_have_their_grammar(stub: StubUpstream, authority: UpstreamAuthority, reference: str) -> None:
    """Attack 37: nothing else gets into a path."""
    link = make_link(origin_of(stub))
    async with upstream_client(authority) as client:
        assert isinstance(await failure(client, link, reference), UpstreamNotFound)
        for ask in (client.blob_target(link, "org/app", reference), client.referrers(link, "org/app", reference)):
            with pytest.raises(UpstreamNotFound):
                await ask
    assert stub.connections == 0


@pytest.mark.parametrize(
    ("realm", "auth"),
    [
        ("https://localhost:{sink}/token", "bearer"),
        ("http://localhost:{port}/token", "bearer"),
        ("https://x@localhost:{port}/token", "bearer"),
        ("https://127.0.0.1:{port}/token", "bearer"),
        ("https://evil.localhost:{port}/token", "bearer"),
        ("https://:{port}/token", "bearer"),
        ("/token", "bearer"),
    ],
)
async def test_a_realm_elsewhere_gets_nothing(
    stub: StubUpstream, authority: UpstreamAuthority, realm: str, auth: str
) -> None:
    """Attack 33: nobody is asked, the credential is not even opened, and the error names the place."""
    names = Names({"evil.localhost": [["127.0.0.1"]]})
    with StubUpstream(tls=authority.issue("localhost", "evil.localhost").server_context()) as sink:
        link = private(stub, auth)
        stub.realm = realm.format(port=stub.port, sink=sink.port)
        async with upstream_client(authority, secrets=SECRET, names=names) as client:
            error = await failure(client, link)
        assert sink.connections == 0
    assert error.code == "upstream_answer_invalid"
    assert stub.realm in str(error)
    assert [one.authorization for one in stub.seen] == [None] * len(stub.seen)


async def test_a_second_challenge_leads_nowhere_else(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Attack 33 later: a registry that was good, and after a 401 names another realm, gets no credential there."""
    clock = Clock()
    with StubUpstream(tls=authority.issue().server_context()) as sink:
        link = private(stub)
        async with upstream_client(authority, secrets=SECRET, clock=clock) as client:
            await client.get_manifest(link, "org/app", "v1")
            clock.seconds += 60
            challenge = f'Bearer realm="https://localhost:{sink.port}/token"'
            stub.answers[MANIFEST_PATH] = Answer(401, (("WWW-Authenticate", challenge),))
            assert (await failure(client, link)).code == "upstream_answer_invalid"
        assert sink.connections == 0


async def test_a_token_host_of_the_link(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """As Docker Hub has it: another host, which the link names, and which is reached at port 443 alone."""
    link = private(stub)
    stub.realm = "https://auth.example.org/token"
    async with upstream_client(authority, secrets=SECRET, names=Names({"auth.example.org": [["10.0.0.1"]]})) as client:
        error = await failure(client, make_link(link.origin, token_hosts=("auth.example.org",)))
        assert error.code == "upstream_address_refused"  # it was let through to the check of its address
        assert (await failure(client, link)).code == "upstream_answer_invalid"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_never_carry_the_credential(
    stub: StubUpstream, authority: UpstreamAuthority, status: int
) -> None:
    """Attack 34: to another origin, to itself, and back again."""
    with StubUpstream(tls=authority.issue().server_context()) as other:
        link = private(stub)
        other.answers["/signed"] = Answer(status, (("Location", f"{stub.url}/back?a=%2F%20b;c"),))
        stub.answers["/back"] = Answer(200, (("Content-Type", MANIFEST),), IMAGE.manifest)
        stub.answers[MANIFEST_PATH] = Answer(status, (("Location", f"{other.url}/signed"),))
        async with upstream_client(authority, secrets=SECRET) as client:
            found = await client.get_manifest(link, "org/app", "v1")
    assert found.digest == IMAGE.digest
    assert [one.authorization for one in other.seen] == [None]
    assert [(one.target, one.authorization) for one in stub.asked("/back")] == [("/back?a=%2F%20b;c", None)]
    assert stub.asked("manifests")[0].authorization is not None


BAD_LOCATIONS = [
    *("http://localhost:{port}/x", "https://169.254.169.254/latest/meta-data/", "https://[::1]:{port}/", ""),
    *("https://10.0.0.1/x", "https://[::ffff:127.0.0.1]:{port}/x", "https://localhost:6379/", "https://0x7f.1/"),
    *("https://2130706433/", "https://localhost.:{port}/", "https://a@localhost:{port}/", "//localhost:{port}/x"),
    *(
        "x",
        "../x",
        "ftp://localhost/x",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://localhost:{port}\\@x/",
    ),
    *("https://private.example:{port}/", "javascript:alert(1)", "https://localhost:{port}/é", "unix:///run/x.sock"),
    "https://localhost:{port}/" + "x" * 9000,
]


@pytest.mark.parametrize("location", BAD_LOCATIONS)
async def test_redirects_that_are_not_followed(stub: StubUpstream, authority: UpstreamAuthority, location: str) -> None:
    """Attack 34: plain http, private and mapped addresses, other services, numbers in disguise, no address at all."""
    names = Names({"private.example": [["10.1.2.3"]]})
    stub.answers[MANIFEST_PATH] = Answer(302, (("Location", location.format(port=stub.port)),))
    link = make_link(origin_of(stub))
    async with upstream_client(authority, names=names) as client:
        assert isinstance(await failure(client, link), UpstreamUnavailable)
        with pytest.raises(UpstreamUnavailable) as refused:
            await client.redirect_target(link, location.format(port=stub.port))
    # The log gets no path: one may open a blob for whoever reads it.
    assert "/" not in (refused.value.detail or "").replace("://", "", 1)
    assert [one.target for one in stub.seen if one.path not in {"/v2/", MANIFEST_PATH}] == []


async def test_a_public_registry_does_not_lead_into_a_private_network(
    stub: StubUpstream, authority: UpstreamAuthority
) -> None:
    """Not even into one that is excepted: that is for links whose registry is in it."""
    names = Names({"public.example": [["1.1.1.1"]], "inside.example": [["127.0.0.1"]]})
    location = f"https://inside.example:{stub.port}/x?y"
    async with upstream_client(authority, names=names) as client:
        target = await client.redirect_target(make_link(origin_of(stub)), location)
        assert (target.origin.host, target.uri, target.authorization) == ("inside.example", "/x?y", None)
        with pytest.raises(UpstreamUnavailable):
            await client.redirect_target(make_link(Origin("https", "public.example", 443)), location)


async def test_where_a_relative_redirect_leads(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """To the host that sent it, which may be another one than the registry."""
    names = Names({"cdn.example": [["1.1.1.1"]]})
    link = make_link(origin_of(stub))
    async with upstream_client(authority, names=names) as client:
        first = await client.redirect_target(link, "https://CDN.example/a?b=%2F#c")
        second = await client.redirect_target(link, "/d?e", first.url)
        third = await client.redirect_target(link, "/d?e")
    assert (first.url, second.url) == ("https://cdn.example/a?b=%2F", "https://cdn.example/d?e")
    assert third.url == f"{stub.url}/d?e"
    assert first.address.authority == "1.1.1.1:443"


async def test_redirects_end(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """After three hops, also when each is allowed."""
    stub.answers[MANIFEST_PATH] = Answer(302, (("Location", MANIFEST_PATH),))
    async with upstream_client(authority) as client:
        assert "after many others" in str(await failure(client, make_link(origin_of(stub))))
    assert len(stub.asked("manifests")) == 1 + 3  # attack 34


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, (("Content-Type", MANIFEST), ("Docker-Content-Digest", IMAGE.digest)), OTHER.manifest),
        Answer(200, (("Content-Type", MANIFEST), ("Docker-Content-Digest", OTHER.digest)), OTHER.manifest),
        Answer(200, (("Content-Type", MANIFEST),), OTHER.manifest),
        Answer(200, (("Content-Type", MANIFEST),), IMAGE.manifest[:-1]),
        Answer(200, (("Content-Type", MANIFEST),), IMAGE.manifest[:-1], length=len(IMAGE.manifest)),
        Answer(200, (("Content-Type", MANIFEST),), IMAGE.manifest + b" "),
        Answer(200, (("Content-Type", MANIFEST),), b"x" * (MAX_MANIFEST + 1)),
        Answer(200, (("Content-Type", MANIFEST),)),
    ],
    ids=["other, lying", "other, honest", "other", "short", "truncated", "long", "too long", "empty"],
)
async def test_a_digest_is_what_it_says(stub: StubUpstream, authority: UpstreamAuthority, answer: Answer) -> None:
    """Attack 38: no bytes are passed on under a digest that is not theirs."""
    stub.answers[f"/v2/org/app/manifests/{IMAGE.digest}"] = answer
    async with upstream_client(authority) as client:
        error = await failure(client, make_link(origin_of(stub)), IMAGE.digest)
    assert isinstance(error, UpstreamUnavailable)


async def test_a_tag_is_what_its_header_says(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """A header that contradicts the bytes is refused; without one the digest is made of the bytes."""
    kind = ("Content-Type", MANIFEST)
    link = make_link(origin_of(stub))
    async with upstream_client(authority) as client:
        stub.answers[MANIFEST_PATH] = Answer(200, (kind, ("Docker-Content-Digest", OTHER.digest)), IMAGE.manifest)
        assert (await failure(client, link)).code == "upstream_answer_invalid"
        stub.answers[MANIFEST_PATH] = Answer(200, (kind,), IMAGE.manifest)
        assert (await client.get_manifest(link, "org/app", "v1")).digest == IMAGE.digest
        assert (await client.head_manifest(link, "org/app", "v1")).digest == IMAGE.digest
        stub.answers[MANIFEST_PATH] = Answer(200, (("Content-Type", "nonsense"),), b"{}")
        assert "what kind" in str(await failure(client, link))


async def test_a_head_about_another_manifest(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """What HEAD says of a digest is about that digest."""
    stub.answers[f"/v2/org/app/manifests/{IMAGE.digest}"] = Answer(200, (("Docker-Content-Digest", OTHER.digest),))
    async with upstream_client(authority) as client:
        with pytest.raises(UpstreamUnavailable):
            await client.head_manifest(make_link(origin_of(stub)), "org/app", IMAGE.digest)


def tags(*names: object, link: str | None = None) -> Answer:
    """Return a page of tags."""
    headers = () if link is None else (("Link", link),)
    return Answer(200, headers, json.dumps({"tags": names}).encode())


async def test_tags_come_in_pages(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """The next page is where the registry says, on itself; names that are no tags are left out."""
    path = "/v2/org/app/tags/list"
    stub.answers[path] = tags("b", "a", 7, "../x", "ü", link=f'<{path}?n=2&next_page=%2Fx>; rel="next"')
    link = make_link(origin_of(stub))
    async with upstream_client(authority) as client:
        listed = await client.list_tags(link, "org/app")
    assert (listed.names, listed.complete) == (("a", "b"), False)
    assert [one.target for one in stub.asked("tags")][1:3] == [f"{path}?n=2&next_page=%2Fx"] * 2


@pytest.mark.parametrize(
    "link",
    [
        "<https://localhost:{sink}/v2/org/app/tags/list?n=1>; rel=next",
        "<http://localhost:{port}/v2/org/app/tags/list?n=1>; rel=next",
        "<//localhost:{sink}/v2/org/app/tags/list>; rel=next",
        "</v2/other/app/tags/list?n=1>; rel=next",
        "</v2/org/app/tags/list/../../../other/tags/list>; rel=next",
        "<https://localhost:{port}@localhost:{sink}/v2/org/app/tags/list>; rel=next",
    ],
)
async def test_a_next_page_elsewhere(stub: StubUpstream, authority: UpstreamAuthority, link: str) -> None:
    """Attack 37: another host, scheme or repository is not asked, and the list is an error instead of a part."""
    with StubUpstream(tls=authority.issue().server_context()) as sink:
        upstream = private(stub)
        stub.answers["/v2/org/app/tags/list"] = tags("a", link=link.format(port=stub.port, sink=sink.port))
        async with upstream_client(authority, secrets=SECRET) as client:
            with pytest.raises(UpstreamUnavailable):
                await client.list_tags(upstream, "org/app")
        assert sink.connections == 0
    assert len(stub.asked("tags")) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"manifests": 1}', b"[" * 100_000])
async def test_referrers_are_an_index(stub: StubUpstream, authority: UpstreamAuthority, body: bytes) -> None:
    """Anything else is an error; an index is passed on as it is."""
    path = f"/v2/org/app/referrers/{IMAGE.digest}"
    link = make_link(origin_of(stub))
    async with upstream_client(authority) as client:
        stub.answers[path] = Answer(200, (), body)
        with pytest.raises(UpstreamUnavailable):
            await client.referrers(link, "org/app", IMAGE.digest)
        stub.answers[path] = Answer(200, (), b'{"manifests": []}')
        assert await client.referrers(link, "org/app", IMAGE.digest, "a/b&c") == b'{"manifests": []}'
    assert stub.seen[-1].query == {"artifactType": ["a/b&c"]}


@pytest.mark.parametrize(
    ("answer", "kind", "pause"),
    [
        (Answer(404), UpstreamNotFound, None),
        (Answer(403), UpstreamRefused, None),
        (Answer(401), UpstreamRefused, None),
        (Answer(429), UpstreamLimited, 60),
        (Answer(429, (("Retry-After", "7"),)), UpstreamLimited, 7),
        (Answer(429, (("Retry-After", "999999"),)), UpstreamLimited, 3600),
        (Answer(429, (("Retry-After", "-1\x0b"),)), UpstreamLimited, 60),
        (Answer(500), UpstreamUnavailable, None),
        (Answer(206), UpstreamUnavailable, None),
        (Answer(304), UpstreamUnavailable, None),
    ],
)
async def test_what_a_status_means(
    stub: StubUpstream, authority: UpstreamAuthority, answer: Answer, kind: type[UpstreamFailed], pause: int | None
) -> None:
    """One class for each thing that a caller does differently."""
    link = private(stub)
    stub.answers[MANIFEST_PATH] = answer
    async with upstream_client(authority, secrets=SECRET) as client:
        error = await failure(client, link)
    assert type(error) is kind
    if isinstance(error, UpstreamRefused):
        assert not error.credential  # the token server took it
    if isinstance(error, UpstreamLimited):
        assert error.retry_after == pause
    assert "s3cret" not in f"{error} {error.detail}"
