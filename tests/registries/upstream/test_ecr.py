"""Signing in to Amazon ECR: a stand-in for Amazon with real TLS, and two replicas on one real Redis."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import define, field

from authsvc.errors import Overloaded, UpstreamFailed, UpstreamLimited, UpstreamRefused, UpstreamUnavailable
from authsvc.keys.seal_context import SealContext
from authsvc.keys.sealing import NONCE_BYTES, seal, unseal
from authsvc.redaction import Secret
from authsvc.registries.upstream.access import UpstreamAccess
from authsvc.registries.upstream.ecr import EcrTokens, ecr_origin
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.upstream_tokens import RedisUpstreamTokens
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.providers import Provider
from authsvc.upstreams.sigv4 import AwsKey, signed_headers
from tests.support.builders import NOW
from tests.support.redis_server import RedisServer, patient, redis_server
from tests.support.upstream_links import Clock, Credentials, make_link, origin_of, upstream_session
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@define
class Sealer:
    """Seals as the key service does."""

    key: bytes = bytes(range(32))
    sealed: int = 0
    is_busy: bool = False

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed."""
        if self.is_busy:
            raise Overloaded("too many operations")
        self.sealed += 1
        return seal(self.key, secret, context, self.sealed.to_bytes(NONCE_BYTES, "big"))

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``."""
        if self.is_busy:
            raise Overloaded("too many operations")
        return unseal([self.key], sealed, context)


@define
class Amazon:
    """A stand-in and what replicas share with it.

    Attributes:
        stub: answers.
        redis: of all replicas.
        authority: vouches for the stub.
        now: the present of all replicas.
        given: how many tokens were made.
    """

    stub: StubUpstream
    redis: RedisServer
    authority: UpstreamAuthority
    now: datetime = NOW
    given: int = 0
    sealer: Sealer = field(factory=Sealer)

    def gives(self, life: timedelta = timedelta(hours=12)) -> str:
        """Give a new token to whoever asks; return it."""
        self.given += 1
        token = base64.b64encode(f"AWS:token {self.given}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": (self.now + life).timestamp(), "proxyEndpoint": "https://x"}
        self.stub.answers["/"] = Answer(200, (), json.dumps({"authorizationData": [data]}).encode())
        return f"Basic {token}"

    def link(self, **other: Any) -> UpstreamLink:
        """Return a link to a registry of Amazon's."""
        facts = {"provider": Provider.ECR, "username": KEY_ID, "sealed_secret": "sealed", **other}
        return make_link(Origin("https", HOST, 443), **facts)

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[UpstreamAccess]:
        """Yield what a new process has."""
        connection, clock = patient(self.redis), Clock()
        try:
            async with upstream_session(self.authority, clock=clock) as session:
                tokens = RedisUpstreamTokens(connection, Codec())
                ecr = EcrTokens(
                    session,
                    tokens,
                    self.sealer,
                    lambda: self.now,
                    lambda: f"{id(session)}",
                    lambda _: origin_of(self.stub),
                )
                secrets = Credentials({("up-1", 1): SECRET, ("up-1", 2): SECRET})
                yield UpstreamAccess(session, secrets, clock, ecr)
        finally:
            await connection.close()


@pytest.fixture
async def amazon(stub: StubUpstream, authority: UpstreamAuthority) -> AsyncIterator[Amazon]:
    """Run the stand-in and a Redis."""
    async with redis_server() as redis:
        yield Amazon(stub, redis, authority)


async def shown(access: UpstreamAccess, link: UpstreamLink) -> str:
    """Return the header for a request."""
    found = await access.authorization(link, "org/app")
    assert found is not None
    return found.reveal()


async def test_the_exchange(amazon: Amazon) -> None:
    """One request, signed with the access key at this moment; the secret itself is not in it."""
    token = amazon.gives()
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == token
        assert await shown(access, amazon.link()) == token
    (asked,) = amazon.stub.seen
    origin = origin_of(amazon.stub)
    headers = {name: asked.headers[name] for name in ("content-type", "x-amz-target")}
    key = AwsKey(KEY_ID, Secret(SECRET))
    assert (asked.method, asked.target, asked.body) == ("POST", "/", b"{}")
    assert asked.headers["x-amz-target"] == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    assert (
        asked.authorization
        == signed_headers(key, origin.authority, "eu-west-1", "ecr", headers, b"{}", NOW)["authorization"]
    )
    assert SECRET not in str(asked)


async def test_one_flight_for_all_replicas(amazon: Amazon) -> None:
    """Three processes with ten requests each ask Amazon once; one that comes later asks Redis."""
    token = amazon.gives()
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(amazon.replica()) for _ in range(3)]
        link = amazon.link()
        found = await asyncio.gather(
            *(replica.authorization(link, f"org/app{n}") for replica in replicas for n in range(10))
        )
        assert {one.reveal() for one in found if one} == {token}
        assert len(found) == 30
    async with amazon.replica() as late:
        assert await shown(late, amazon.link()) == token
    assert len(amazon.stub.seen) == 1


async def test_a_token_is_renewed_an_hour_before_its_end(amazon: Amazon) -> None:
    """Not before; and while Amazon does not answer, the old one is used until it ends."""
    old = amazon.gives()
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == old
    amazon.now += timedelta(hours=10, minutes=59)
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == old
    amazon.stub.answers["/"] = Answer(503)
    amazon.now += timedelta(minutes=2)
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == old
    new = amazon.gives()
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == new
    amazon.stub.answers["/"] = Answer(503)
    amazon.now += timedelta(hours=12)
    async with amazon.replica() as access:
        with pytest.raises(UpstreamUnavailable):
            await shown(access, amazon.link())


async def test_a_refused_token_is_exchanged_again(amazon: Amazon) -> None:
    """After a 401 of the registry, unless another replica has just done so."""
    link = amazon.link()
    amazon.gives()
    async with amazon.replica() as first, amazon.replica() as second:
        await first.authorization(link, "org/app")
        await second.authorization(link, "org/app")
        for access in (first, second):
            access.monotonic.seconds += 60  # type: ignore[attr-defined]
        amazon.now += timedelta(minutes=1)
        new = amazon.gives()
        for access in (first, second):
            renewed = await access.renewed(link, "org/app")
            assert renewed is not None
            assert renewed.reveal() == new
    assert len(amazon.stub.seen) == 2


async def test_tokens_are_sealed_for_link_and_version(amazon: Amazon) -> None:
    """Redis has no token in clear; another version of the credential gets a token of its own, as does another link."""
    token = amazon.gives()
    async with amazon.replica() as access:
        await shown(access, amazon.link())
        connection = patient(amazon.redis)
        raw = await connection.get(keys.upstream_token("up-1", 1))
        assert raw is not None
        assert token.removeprefix("Basic ").encode() not in raw
        await connection.run(connection.redis.set(keys.upstream_token("up-1", 2), raw))
        await connection.close()
        other = amazon.gives()
        assert await shown(access, amazon.link(credential_version=2)) == other
    assert len(amazon.stub.seen) == 2


async def test_without_redis_each_replica_asks_for_itself(amazon: Amazon) -> None:
    """The pull goes on."""
    token = amazon.gives()
    async with amazon.replica() as access:
        await amazon.redis.stop()
        assert await shown(access, amazon.link()) == token


async def test_a_key_service_that_is_busy(amazon: Amazon) -> None:
    """A token that cannot be sealed or opened costs another exchange, and the pull nothing."""
    amazon.sealer.is_busy = True
    token = amazon.gives()
    for _ in range(2):
        async with amazon.replica() as access:
            assert await shown(access, amazon.link()) == token
    amazon.sealer.is_busy = False
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == token
    amazon.sealer.is_busy = True
    async with amazon.replica() as access:
        assert await shown(access, amazon.link()) == token
    assert len(amazon.stub.seen) == 4


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"__type":"com.amazon#UnrecognizedClientException"}', UpstreamRefused),
        (400, b'{"__type":"x#InvalidSignatureException","message":"no"}', UpstreamRefused),
        (400, b'{"__type":"x#AccessDeniedException"}', UpstreamRefused),
        (400, b'{"__type":"x#ThrottlingException"}', UpstreamLimited),
        (400, b"<html>", UpstreamUnavailable),
        (500, b"{}", UpstreamUnavailable),
        (302, b"", UpstreamUnavailable),
        (200, b"{}", UpstreamUnavailable),
        (200, b'{"authorizationData":[]}', UpstreamUnavailable),
        (200, b'{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":"soon"}]}', UpstreamUnavailable),
        (200, b'{"authorizationData":[{"authorizationToken":"QVdTOng=\\n","expiresAt":2e9}]}', UpstreamUnavailable),
        (200, b'{"authorizationData":[{"authorizationToken":"eA==","expiresAt":2e9}]}', UpstreamUnavailable),
        (200, b'{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":1e99}]}', UpstreamUnavailable),
    ],
)
async def test_what_amazon_may_answer(amazon: Amazon, status: int, body: bytes, kind: type[UpstreamFailed]) -> None:
    """One class for each thing that a caller does differently; never the secret."""
    amazon.stub.answers["/"] = Answer(status, (("Location", "https://evil.example/"),), body)
    async with amazon.replica() as access:
        with pytest.raises(UpstreamFailed) as error:
            await shown(access, amazon.link())
    assert type(error.value) is kind
    assert SECRET not in f"{error.value} {error.value.detail}"


@pytest.mark.parametrize(
    ("host", "where"),
    [
        (HOST, "https://api.ecr.eu-west-1.amazonaws.com"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://api.ecr.cn-north-1.amazonaws.com.cn"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "https://ecr-fips.us-east-1.amazonaws.com"),
        ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "https://api.ecr.us-gov-west-1.amazonaws.com"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", None),
        ("evil.example", None),
        ("public.ecr.aws", None),
    ],
)
def test_where_tokens_are_given_out(host: str, where: str | None) -> None:
    """At Amazon's own interface for the region of the host (as botocore names it), and nowhere else (GO-2026-6225)."""
    found = ecr_origin(host)
    assert (None if found is None else found.text) == where


async def test_another_host_gets_no_signature(amazon: Amazon) -> None:
    """A link that says it is Amazon's and is not: nothing is sent, and the credential is not opened."""
    elsewhere = Origin("https", "evil.example", 443)
    link = make_link(elsewhere, provider=Provider.ECR, username=KEY_ID, sealed_secret="sealed")
    async with amazon.replica() as access:
        with pytest.raises(UpstreamRefused):
            await access.authorization(link, "org/app")
        assert isinstance(access.unseal, Credentials)
        assert access.unseal.opened == []
    assert amazon.stub.seen == []
