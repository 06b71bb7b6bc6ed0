"""What opens a registry: fetched once, used for a part of its life, and never for another link, version or repository.

Attack 39; CVE-2026-103868 and CVE-2026-103869 (pulp-container: credentials of one remote used for another).
"""

import asyncio
from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import UpstreamFailed, UpstreamRefused, UpstreamUnavailable
from authsvc.registries.upstream.access import UpstreamAccess
from authsvc.registries.upstream.client import UpstreamClient
from authsvc.upstreams.link import UpstreamLink
from tests.support.oci import Image
from tests.support.upstream_links import Clock, Credentials, make_link, origin_of, upstream_client
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

IMAGE = Image(b"content")

LINKS = 8
"""Links of as many teams, each with two versions of its credential."""


def opened(client: UpstreamClient) -> int:
    """Return how many credentials were opened."""
    assert isinstance(client.access.unseal, Credentials)
    return len(client.access.unseal.opened)


def private(stub: StubUpstream, auth: str = "bearer") -> UpstreamLink:
    """Let a stub have an image for ``robot`` alone."""
    stub.auth, stub.users = auth, {"robot": "s3cret"}
    stub.put("org/app", "v1", IMAGE)
    return make_link(origin_of(stub), username="robot", sealed_secret="sealed")


@pytest.mark.parametrize("auth", ["bearer", "basic"])
async def test_no_credential_is_used_for_another_link(
    stub: StubUpstream, authority: UpstreamAuthority, auth: str
) -> None:
    """200 parallel requests for one repository of one registry, with a credential for each link and version."""
    stub.auth = auth
    stub.users = {f"robot{n}": f"{n}.{version}" for n in range(LINKS) for version in (2,)}
    stub.put("org/app", "v1", IMAGE)
    secrets = {(f"up-{n}", version): f"{n}.{version}" for n in range(LINKS) for version in (1, 2)}
    links = [
        make_link(
            origin_of(stub),
            id=f"up-{n}",
            team=f"team{n}",
            username=f"robot{n}",
            sealed_secret="sealed",
            credential_version=version,
        )
        for n in range(LINKS)
        for version in (1, 2)
    ]
    async with upstream_client(authority, secrets=secrets) as client:

        async def pull(link: UpstreamLink) -> bool:
            try:
                return (await client.get_manifest(link, "org/app", "v1")).content == IMAGE.manifest
            except UpstreamRefused:
                return False

        turns = [links[turn % len(links)] for turn in range(200)]
        found = await asyncio.gather(*map(pull, turns))
    # The first version is refused by the registry, whatever the second has fetched before.
    assert found == [link.credential_version == 2 for link in turns]


@pytest.mark.parametrize(
    "other", [{"id": "up-2"}, {"team": "other"}, {"username": "bob"}, {"credential_version": 2}, {"host": "127.0.0.1"}]
)
async def test_what_is_kept_is_for_one_link(
    stub: StubUpstream, authority: UpstreamAuthority, other: dict[str, Any]
) -> None:
    """What differs in one fact alone has its credential opened for itself, and its registry asked how to sign in."""
    link = private(stub, "basic")
    host = other.get("host", "localhost")
    facts = {name: value for name, value in other.items() if name != "host"}
    another = evolve(link, origin=origin_of(stub, host), **facts)
    async with upstream_client(authority, secrets={(f"up-{n}", v): "s3cret" for n in (1, 2) for v in (1, 2)}) as client:
        for each in (link, another, link, another):
            await client.access.authorization(each, "org/app")
        assert opened(client) == 2
    assert len(stub.asked("/v2/")) == 2


async def test_a_token_is_for_one_repository(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """And is fetched once for all who want it at the same time."""
    link = private(stub)
    stub.put("org/other", "v1", IMAGE)
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}) as client:
        pulls = [client.get_manifest(link, name, "v1") for name in ("org/app", "org/other") for _ in range(5)]
        await asyncio.gather(*pulls)
        assert sorted(stub.tokens.values()) == ["org/app", "org/other"]
        assert opened(client) == 2
    asked = stub.asked("/token")
    assert sorted(one.query["scope"][0] for one in asked) == ["repository:org/app:pull", "repository:org/other:pull"]


async def test_the_life_of_a_token(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """It is used for a part of what its server says, and of a long life at most for an hour."""
    clock = Clock()
    link = private(stub)
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}, clock=clock) as client:
        for life, used in ((300, 240), (10**9, 2880)):
            stub.token_life = life
            client.access._kept.clear()
            first = await client.access.authorization(link, "org/app")
            clock.seconds += used - 1
            assert await client.access.authorization(link, "org/app") == first
            clock.seconds += 2
            assert await client.access.authorization(link, "org/app") != first


async def test_a_token_that_ended_early_is_renewed_once(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """All who were refused with it get the same new one; a second 401 is the answer."""
    clock = Clock()
    link = private(stub)
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}, clock=clock) as client:
        await client.get_manifest(link, "org/app", "v1")
        stub.tokens.clear()
        clock.seconds += 10
        await asyncio.gather(*(client.get_manifest(link, "org/app", "v1") for _ in range(5)))
        assert len(stub.asked("/token")) == 2
        clock.seconds += 10
        stub.answers["/v2/org/app/manifests/v1"] = Answer(401)
        with pytest.raises(UpstreamRefused):
            await client.get_manifest(link, "org/app", "v1")
        assert len(stub.asked("/token")) == 3


async def test_a_registry_that_changes_how_it_is_signed_in_to(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Its newest challenge counts, at once."""
    clock = Clock()
    link = private(stub, "basic")
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}, clock=clock) as client:
        await client.get_manifest(link, "org/app", "v1")
        stub.auth = "bearer"
        clock.seconds += 10
        assert (await client.get_manifest(link, "org/app", "v1")).digest == IMAGE.digest


async def test_challenges_in_several_headers(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """All of them count, in /v2/ and in the answer to a pull."""
    clock = Clock()
    link = private(stub)
    bearer = f'Bearer realm="{stub.url}/token",service="stub"'
    both = Answer(401, (("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", bearer)))
    stub.answers["/v2/"] = both
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}, clock=clock) as client:
        assert (await client.get_manifest(link, "org/app", "v1")).digest == IMAGE.digest
        clock.seconds += 10
        stub.answers["/v2/org/app/manifests/v1"] = both
        with pytest.raises(UpstreamRefused):
            await client.get_manifest(link, "org/app", "v1")
    assert len(stub.asked("/token")) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 7}',
        b'{"token": ""}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": "a b"}',
        b'{"token": "' + b"x" * 9000 + b'"}',
        b'{"token": "' + b"x" * 70_000 + b'"}',
        b"[" * 60_000,
    ],
)
async def test_answers_of_a_token_server(stub: StubUpstream, authority: UpstreamAuthority, body: bytes) -> None:
    """A token has a grammar: it goes into a header."""
    link = private(stub)
    stub.answers["/token"] = Answer(200, (), body)
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}) as client:
        with pytest.raises(UpstreamUnavailable):
            await client.get_manifest(link, "org/app", "v1")
    assert stub.asked("manifests") == []


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_token_server_that_redirects(stub: StubUpstream, authority: UpstreamAuthority, status: int) -> None:
    """Is not followed: the credential would go along."""
    with StubUpstream(tls=authority.issue().server_context()) as sink:
        link = private(stub)
        stub.answers["/token"] = Answer(status, (("Location", f"{sink.url}/token"),))
        async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}) as client:
            with pytest.raises(UpstreamFailed):
                await client.get_manifest(link, "org/app", "v1")
        assert sink.connections == 0


@pytest.mark.parametrize(("value", "life"), [("null", 48), ("-5", 48), ("true", 48), ('"9"', 48), ("1e400", 2880)])
async def test_a_strange_life(stub: StubUpstream, authority: UpstreamAuthority, value: str, life: int) -> None:
    """What is no number of seconds is the specification's minute."""
    link = private(stub)
    stub.answers["/token"] = Answer(200, (), f'{{"access_token": "t", "expires_in": {value}}}'.encode())
    clock = Clock()
    async with upstream_client(authority, secrets={("up-1", 1): "s3cret"}, clock=clock) as client:
        access: UpstreamAccess = client.access
        found = await access.authorization(link, "org/app")
        assert found is not None
        assert found.reveal() == "Bearer t"
        assert next(iter(access._kept.values())).until - clock.seconds == pytest.approx(life)


async def test_what_is_remembered_is_bounded(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """However many repositories are asked for."""
    stub.auth = "none"
    link = make_link(origin_of(stub))
    async with upstream_client(authority) as client:
        for n in range(5000):
            await client.access.authorization(link, f"org/app{n}")
        assert len(client.access._kept) <= 4096
    assert len(stub.seen) == 1
