"""Requests to external registries: attacks 35, 36, 38 on connection, TLS and bounds; one upstream beside others.

CVE-2026-44430 and CVE-2026-33480 (checks on the name and not on what is connected to), Quay CVE-2026-32591,
aiohttp CVE-2025-69223 (zip bomb), CVE-2023-47265 (cookies).
"""

import asyncio
import gzip
import ipaddress
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
from attrs import evolve

from authsvc.errors import InputRefused, Overloaded, SetupRefused, UpstreamUnavailable
from authsvc.redaction import Secret
from authsvc.registries.upstream.resolver import UpstreamResolver
from authsvc.registries.upstream.room import FAILURES, REQUESTS_OF_A_LINK, WAITING
from authsvc.registries.upstream.session import MAX_HEADERS, Requester, UpstreamSession
from authsvc.registries.upstream.tls import upstream_tls
from authsvc.upstreams.addresses import Address, AddressRules
from authsvc.upstreams.origin import Origin
from tests.support.upstream_links import (
    LOOPBACK,
    REQUESTER,
    Clock,
    Names,
    origin_of,
    upstream_session,
    without_connections,
)
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import becomes

PUBLIC = "registry.example.com"


def resident_mib() -> float:
    """Return the memory of this process."""
    return psutil.Process().memory_info().rss / 2**20


async def refused(session: UpstreamSession, origin: Origin, path: str = "/v2/", longest: int = 1000) -> str:
    """Return why a request fails."""
    with pytest.raises(UpstreamUnavailable) as error:
        await session.request(REQUESTER, origin, "GET", path, longest=longest)
    return f"{error.value.code}: {error.value}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_request_says_who_it_is_for(stub: StubUpstream, authority: UpstreamAuthority, host: str) -> None:
    """The target arrives byte for byte, with our headers and no others."""
    target = "/v2/a%2Fb/x?q=%20+%3b&y=1"
    async with upstream_session(authority) as session:
        reply = await session.request(
            REQUESTER, origin_of(stub, host), "GET", target, authorization=Secret("Basic x"), headers={"Accept": "a/b"}
        )

    assert reply.status == 404
    seen = stub.seen[0]
    assert seen.target == target
    assert dict(seen.headers) | {"user-agent": ""} == {
        "host": f"{host}:{stub.port}",
        "accept": "a/b",
        "accept-encoding": "identity",
        "authorization": "Basic x",
        "user-agent": "",
    }


async def test_one_connection_serves_many_requests(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """TLS is negotiated once; no cookie comes back."""
    stub.answers["/v2/"] = Answer(200, (("Set-Cookie", "a=b; Path=/"),), b"{}")
    async with upstream_session(authority) as session:
        for _ in range(3):
            await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)
    assert stub.connections == 1
    assert [one.headers.get("cookie") for one in stub.seen] == [None] * 3


async def test_nothing_connects_to_a_refused_address(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Attack 35: as a literal, as a name, and beside a public address in one answer."""
    names = Names({"a.example": [["127.0.0.1"]], "b.example": [["1.1.1.1", "127.0.0.1"]], "c.example": [["::1"]]})
    async with upstream_session(authority, names=names, rules=AddressRules()) as session:
        for host in ("127.0.0.1", "localhost", "a.example", "b.example", "c.example", "::1", "::ffff:127.0.0.1"):
            assert (await refused(session, origin_of(stub, host))).startswith("upstream_address_refused")
            with pytest.raises(InputRefused):
                await session.resolver.vet_host(origin_of(stub, host), "acme")
    assert stub.connections == 0


async def test_rebinding(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Attack 36: a name whose address changes with every look, from one that is allowed to one that is not."""
    clock = Clock()
    turns = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["::ffff:127.0.0.2"]]
    names = Names({PUBLIC: turns * 125})
    rules = AddressRules((ipaddress.ip_network("127.0.0.2/32"),))
    statuses = []
    with StubUpstream(tls=authority.issue(PUBLIC).server_context(), host="127.0.0.2", port=stub.port) as good:
        async with upstream_session(authority, names=names, rules=rules, clock=clock) as session:
            for _ in range(500):
                with suppress(UpstreamUnavailable):
                    reply = await session.request(REQUESTER, origin_of(stub, PUBLIC), "GET", "/v2/", longest=10)
                    statuses.append(reply.status)
                clock.seconds += 61  # nothing is remembered, and no breaker is open
        assert good.connections >= 1
    assert (stub.connections, len(names.asked), statuses) == (0, 500, [200] * 125)


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    stub: StubUpstream, authority: UpstreamAuthority
) -> None:
    """The name is looked up once for a connection, and its answer is pinned."""
    names = Names({PUBLIC: [["127.0.0.1"], ["127.0.0.99"]]})
    async with upstream_session(authority, names=names) as session:
        reply = await session.request(REQUESTER, origin_of(stub, PUBLIC), "GET", "/v2/", longest=10)
    assert (reply.status, names.asked, stub.connections) == (200, [PUBLIC], 1)
    assert stub.seen[0].headers["host"] == f"{PUBLIC}:{stub.port}"


@pytest.mark.parametrize("service", ["registry", "127.0.0.1"])
async def test_our_own_services_are_refused_by_any_name(
    stub: StubUpstream, authority: UpstreamAuthority, service: str
) -> None:
    """An excepted network may have them in it; another port of the same host passes."""
    names = Names({"registry": [["127.0.0.1"]], "evil.example": [["127.0.0.1"]], "c.example": [["127.0.0.2"]]})
    rules = evolve(LOOPBACK, services=frozenset({(service, stub.port), ("gone.example", stub.port)}))
    async with upstream_session(authority, names=names, rules=rules) as session:
        for host in (service, "evil.example", "127.0.0.1"):
            assert (await refused(session, origin_of(stub, host))).startswith("upstream_address_refused")
            with pytest.raises(InputRefused):
                await session.resolver.vet_host(origin_of(stub, host), "acme")
        assert stub.connections == 0
        await session.resolver.vet_host(evolve(origin_of(stub, "evil.example"), port=stub.port + 1), "acme")
        await session.resolver.vet_host(origin_of(stub, "c.example"), "acme")


async def test_the_socket_itself_refuses(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """The last check stands alone: a resolver that lets everything pass does not reach a refused address."""

    class Careless(UpstreamResolver):
        async def addresses(self, origin: Origin, team: str) -> tuple[Address, ...]:  # noqa: ARG002
            return (ipaddress.ip_address("127.0.0.1"),)

    clock = Clock()
    async with UpstreamSession(Careless(AddressRules(), clock), upstream_tls(authority.file), clock) as session:
        assert "no connection" in await refused(session, origin_of(stub))
    assert stub.connections == 0


async def test_the_library_resolves_no_name(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """A request that goes around us by a name fails."""
    async with upstream_session(authority) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session._session.get(stub.url)
    assert stub.connections == 0


async def test_plain_http_only_in_excepted_networks(authority: UpstreamAuthority) -> None:
    """Not even when the operator excepts all addresses: a public one is no exception."""
    with StubUpstream() as stub:
        async with upstream_session(authority) as session:
            assert (await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)).status == 200
        for addresses in (["1.1.1.1"], ["127.0.0.1", "1.1.1.1"]):
            async with upstream_session(authority, names=Names({PUBLIC: [addresses]})) as session:
                assert "without TLS" in await refused(session, origin_of(stub, PUBLIC))


@pytest.mark.parametrize(
    ("hosts", "expired", "trusted", "why"),
    [
        (("other.example",), False, True, "Hostname mismatch"),
        (("localhost",), True, True, "expired"),
        (("localhost",), False, False, "self-signed"),
    ],
)
async def test_bad_certificates(
    authority: UpstreamAuthority, hosts: tuple[str, ...], expired: bool, trusted: bool, why: str
) -> None:
    """Name, time and authority count; nothing is sent, and the error says what is wrong."""
    files = authority.issue(*hosts, expired=expired, trusted=trusted)
    with StubUpstream(tls=files.server_context()) as stub:
        async with upstream_session(authority) as session:
            words = await refused(session, origin_of(stub))
    assert why.lower() in words.lower().replace("self signed", "self-signed")
    assert stub.seen == []


async def test_old_tls_is_refused(authority: UpstreamAuthority) -> None:
    """TLS 1.2 at least."""
    assert upstream_tls(authority.file).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_bad_file_of_authorities_is_refused_at_start(tmp_path: Path, content: bytes | None) -> None:
    """It names the setting."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(SetupRefused, match="AUTHSVC_UPSTREAM_CA_FILE"):
        upstream_tls(tmp_path / "ca.pem")


PACKED = (("Content-Encoding", "gzip"),)
TOO_LONG = ("upstream_answer_invalid", "is longer than 1000 bytes")
IS_PACKED = ("upstream_answer_invalid", "is compressed, although")
NO_HTTP = ("upstream_unavailable", "broke off, or its answer is not HTTP")

HOSTILE = {
    "too long": (Answer(200, (), b"x" * 1001), TOO_LONG),
    "says it is longer": (Answer(200, (), b"x", length=10**10), TOO_LONG),
    "endless": (Answer(200, (), b"x" * 65536, endless=True), TOO_LONG),
    "packed": (Answer(200, PACKED, gzip.compress(b"{}")), IS_PACKED),
    "a packed bomb": (Answer(200, PACKED, gzip.compress(bytes(10_000_000))), IS_PACKED),
    "truncated": (Answer(200, (), b"x" * 10, length=500), NO_HTTP),
    "long header": (Answer(200, (("X", "y" * 40_000),)), NO_HTTP),
    "many headers": (Answer(200, tuple((f"X-{n}", "y") for n in range(MAX_HEADERS + 50))), NO_HTTP),
    "no HTTP": (Answer(raw=b"\x16\x03\x01 SSH-2.0-x\r\n\r\n"), NO_HTTP),
    "nothing": (Answer(raw=b""), NO_HTTP),
    "two lengths": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), NO_HTTP),
    "never-ending header": (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000), NO_HTTP),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_answers(stub: StubUpstream, authority: UpstreamAuthority, name: str) -> None:
    """Attack 38: an error that says what is wrong, and no bytes, in little memory; the next request is served."""
    answer, (code, why) = HOSTILE[name]
    stub.answers["/v2/hostile"] = answer
    async with upstream_session(authority) as session:
        await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)
        before = resident_mib()
        words = await refused(session, origin_of(stub), "/v2/hostile")
        assert words.startswith(f"{code}: ")
        assert why in words
        assert resident_mib() - before < 20
        assert (await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)).status == 200


async def test_nothing_is_unpacked(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Of an error, which is read in any case, the bytes are those that came: unpacked, they could be any number."""
    packed = gzip.compress(b"x" * 100)
    stub.answers["/v2/"] = Answer(503, PACKED, packed)
    async with upstream_session(authority) as session:
        reply = await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)
    assert (reply.status, reply.content) == (503, packed)


async def test_the_longest_answer(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """As long as it may be, it is passed on."""
    stub.answers["/v2/"] = Answer(200, (), b"x" * 1000)
    async with upstream_session(authority) as session:
        reply = await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=1000)
    assert reply.content == b"x" * 1000


@pytest.mark.parametrize(
    "answer", [Answer(200, (), b"x" * 900, drip=0.05), Answer(200, delay=60.0)], ids=["drip", "silence"]
)
async def test_slow_answers(stub: StubUpstream, authority: UpstreamAuthority, answer: Answer) -> None:
    """The deadline is for everything, however many bytes trickle in meanwhile."""
    stub.answers["/v2/slow"] = answer
    async with upstream_session(authority, deadline=0.7) as session:
        assert "in time" in await refused(session, origin_of(stub), "/v2/slow")
    await without_connections(stub)


async def test_an_error_has_a_short_body(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Of a longer one nothing is read; the status counts."""
    stub.answers["/v2/"] = Answer(503, (), b"x" * 100_000)
    async with upstream_session(authority) as session:
        reply = await session.request(REQUESTER, origin_of(stub), "GET", "/v2/", longest=10)
    assert (reply.status, reply.content) == (503, b"")


async def test_redirects_are_not_followed(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """The library does not; we decide."""
    stub.answers["/v2/"] = Answer(307, (("Location", "/token"),))
    async with upstream_session(authority) as session:
        assert (await session.request(REQUESTER, origin_of(stub), "GET", "/v2/")).status == 307
    assert len(stub.seen) == 1


async def test_a_silent_upstream_slows_nobody_else(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Its link waits in line; another link of the same team and another team are served meanwhile."""
    stub.answers["/v2/silent"] = Answer(200, delay=60.0)
    origin = origin_of(stub)
    async with upstream_session(authority) as session:
        waiting = [
            asyncio.ensure_future(session.request(REQUESTER, origin, "GET", "/v2/silent"))
            for _ in range(3 * REQUESTS_OF_A_LINK)
        ]
        await becomes(lambda: len(stub.asked("silent")) == REQUESTS_OF_A_LINK, "the requests that have their turn")
        for requester in (Requester("acme", "up-2"), Requester("other", "up-3")):
            assert (await session.request(requester, origin, "GET", "/v2/", longest=10)).status == 200
        assert len(stub.asked("silent")) == REQUESTS_OF_A_LINK
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await without_connections(stub)


async def test_too_many_requests_are_no_failure_of_the_upstream(
    stub: StubUpstream, authority: UpstreamAuthority
) -> None:
    """They are refused as ours, and the next ones are sent."""
    stub.answers["/v2/silent"] = Answer(200, delay=60.0)
    origin = origin_of(stub)
    async with upstream_session(authority) as session:
        running = [
            asyncio.ensure_future(session.request(REQUESTER, origin, "GET", "/v2/silent"))
            for _ in range(REQUESTS_OF_A_LINK + WAITING)
        ]
        await becomes(lambda: len(stub.asked("silent")) == REQUESTS_OF_A_LINK, "the requests that have their turn")
        for _ in range(2 * FAILURES):
            with pytest.raises(Overloaded):
                await session.request(REQUESTER, origin, "GET", "/v2/")
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert (await session.request(REQUESTER, origin, "GET", "/v2/", longest=10)).status == 200
    await without_connections(stub)


async def test_the_time_of_a_request_begins_with_its_turn(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Those that wait while others time out have not failed themselves.

    As soon as FAILURES of them have, the rest is not sent; before that, a few more may get their turn.
    """
    waiting = FAILURES + 3
    stub.answers["/v2/silent"] = Answer(200, delay=60.0)
    async with upstream_session(authority, deadline=0.3, clock=Clock()) as session:
        answers = await asyncio.gather(
            *(refused(session, origin_of(stub), "/v2/silent") for _ in range(REQUESTS_OF_A_LINK + waiting))
        )
    ends = [("in time" in answer, "recently" in answer) for answer in answers]
    assert ends[:REQUESTS_OF_A_LINK] == [(True, False)] * REQUESTS_OF_A_LINK
    assert ends[REQUESTS_OF_A_LINK + FAILURES - 1 :] == [(False, True)] * (waiting - FAILURES + 1)
    await without_connections(stub)


async def test_a_dead_upstream_is_left_alone(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """After a few failures it is asked again only after a pause; other links to the same host are not concerned."""
    clock = Clock()
    stub.answers["/v2/dead"] = Answer(raw=b"")
    origin = origin_of(stub)
    async with upstream_session(authority, clock=clock) as session:
        for _ in range(FAILURES):
            await refused(session, origin, "/v2/dead")
        seen = len(stub.seen)
        assert "recently" in await refused(session, origin, "/v2/")
        assert len(stub.seen) == seen
        assert (await session.request(Requester("acme", "up-2"), origin, "GET", "/v2/", longest=10)).status == 200
        clock.seconds += 5
        assert (await session.request(REQUESTER, origin, "GET", "/v2/", longest=10)).status == 200
        await refused(session, origin, "/v2/dead")
        assert (await session.request(REQUESTER, origin, "GET", "/v2/", longest=10)).status == 200


async def test_a_name_server_that_does_not_answer(authority: UpstreamAuthority) -> None:
    """It holds threads of its own team alone."""
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(name: str) -> list[str]:
        if name != "good.example":
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return ["127.0.0.1"]

    async with UpstreamResolver(LOOPBACK, Clock(), look_up) as resolver:
        slow = [
            asyncio.ensure_future(resolver.addresses(Origin("https", f"slow{n}.example", 443), "acme"))
            for n in range(20)
        ]
        assert await resolver.addresses(Origin("https", "good.example", 443), "other")
        assert not any(one.done() for one in slow)
        release.set()
        assert len(await asyncio.gather(*slow)) == 20


async def test_names_are_remembered_for_seconds(authority: UpstreamAuthority) -> None:
    """And then asked for again; what an old answer said does not stay."""
    clock, names = Clock(), Names({PUBLIC: [["127.0.0.1"], ["127.0.0.2"]]})
    origin = Origin("https", PUBLIC, 443)
    async with UpstreamResolver(LOOPBACK, clock, names) as resolver:
        found = [(await resolver.resolve(origin, "acme")).literal for _ in range(3)]
        clock.seconds += 11
        found.append((await resolver.resolve(origin, "acme")).literal)
    assert found == ["127.0.0.1"] * 3 + ["127.0.0.2"]
