"""The test of a link: each thing that can be wrong is found at its step, in words, without saying the secret."""

import asyncio

import pytest

from authsvc.redaction import Secret
from authsvc.registries.upstream.probe import RegistryProbe
from authsvc.upstreams.addresses import AddressRules
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.probe import STEPS, ProbeStep
from tests.support.oci import Image
from tests.support.upstream_links import LOOPBACK, Clock, Names, make_link, origin_of, upstream_session
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

IMAGE = Image(b"content")

SECRET = Secret("s3cret")


async def probed(
    authority: UpstreamAuthority,
    link: UpstreamLink,
    secret: Secret | None = SECRET,
    repository: str | None = "org/app:v1",
    *,
    names: Names | None = None,
    rules: AddressRules = LOOPBACK,
) -> dict[str, ProbeStep]:
    """Return the steps by name."""
    async with upstream_session(authority, names=names, rules=rules) as session:
        steps = await RegistryProbe(session, Clock()).probe(link, secret, repository)
    assert tuple(step.step for step in steps) == STEPS
    assert "s3cret" not in str(steps)
    return {step.step: step for step in steps}


def failed_at(steps: dict[str, ProbeStep]) -> str:
    """Return the step that failed: all before went well, all after were not tried, and it says what to do."""
    (failed,) = [step for step in steps.values() if step.ok is False]
    at = STEPS.index(failed.step)
    assert [steps[step].ok for step in STEPS] == [True] * at + [False] + [None] * (len(STEPS) - at - 1)
    assert failed.remedy
    return f"{failed.step}: {failed.words}"


def private(stub: StubUpstream, auth: str = "bearer") -> UpstreamLink:
    """Let a stub have an image for ``robot`` alone."""
    stub.auth, stub.users = auth, {"robot": "s3cret"}
    stub.put("org/app", "v1", IMAGE)
    return make_link(origin_of(stub), username="robot")


@pytest.mark.parametrize("auth", ["bearer", "basic", "none"])
@pytest.mark.parametrize("repository", ["org/app:v1", "org/app", None])
async def test_a_good_link(stub: StubUpstream, authority: UpstreamAuthority, auth: str, repository: str | None) -> None:
    """Every step goes well, with a tag, with any tag, and with the repository that the link names."""
    link = private(stub, auth)
    steps = await probed(
        authority, make_link(link.origin, username="robot", repositories=("org/app",)), SECRET, repository
    )
    assert [step.ok for step in steps.values()] == [True] * 6, steps
    assert steps["manifest"].words == f"org/app:v1 is {IMAGE.digest}"
    assert "127.0.0.1" in steps["address"].words


async def test_no_repository_to_test(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Then the pull is not tried, and it says so."""
    steps = await probed(authority, private(stub), repository=None)
    assert (steps["token"].ok, steps["manifest"].ok) == (True, None)
    assert "name a repository" in steps["manifest"].words


async def test_what_can_be_wrong_with_an_address(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Name, network, port; an address behind a name is not told."""
    names = Names({"inside.example": [["10.1.2.3"]]})
    port = stub.port
    unknown = await probed(authority, make_link(Origin("https", "nowhere.example", port)), names=names)
    inside = await probed(authority, make_link(Origin("https", "inside.example", port)), names=names)
    literal = await probed(authority, make_link(origin_of(stub, "127.0.0.1")), rules=AddressRules())
    closed = await probed(authority, make_link(Origin("https", "localhost", 1024)))
    assert failed_at(unknown) == "dns: the name nowhere.example cannot be resolved"
    assert failed_at(inside).startswith("address: inside.example is or leads to a private address")
    assert "10.1.2.3" not in str(inside)
    assert failed_at(literal).startswith("dns: 127.0.0.1 is or leads to a loopback address")
    assert failed_at(closed) == "tls: localhost:1024 cannot be reached: no connection"
    assert stub.connections == 0


async def test_a_wrong_certificate(authority: UpstreamAuthority) -> None:
    """In OpenSSL's words."""
    with StubUpstream(tls=authority.issue("other.example").server_context()) as stub:
        assert "Hostname mismatch" in failed_at(await probed(authority, private(stub)))


async def test_a_website_is_no_registry(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """And neither is one that wants another way to sign in, or tokens of a stranger."""
    link = private(stub)
    stub.answers["/v2/"] = Answer(404, (), b"<html>")
    assert failed_at(await probed(authority, link)).startswith("challenge: localhost")
    stub.answers["/v2/"] = Answer(401, (("WWW-Authenticate", "Negotiate"),))
    assert "neither Bearer nor Basic" in failed_at(await probed(authority, link))
    stub.answers["/v2/"] = Answer(401, (("WWW-Authenticate", 'Bearer realm="https://evil.example/t"'),))
    assert "https://evil.example/t" in failed_at(await probed(authority, link))


async def test_a_wrong_credential(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """It is found where the registry tells: at the token, or with Basic at the image; none is found before."""
    link = private(stub)
    assert "refuses the credential" in failed_at(await probed(authority, link, Secret("wrong")))
    assert failed_at(await probed(authority, link, None)).startswith("token: localhost")
    stub.auth = "basic"
    assert failed_at(await probed(authority, link, Secret("wrong"))).startswith("manifest: localhost")
    assert failed_at(await probed(authority, link, None)) == "token: asks for a credential; this link has none"


async def test_a_repository_that_is_not_there(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """Or that the link does not show."""
    link = private(stub)
    for repository in ("org/nothing", "org/app:v2"):
        assert failed_at(await probed(authority, link, repository=repository)).startswith("manifest: localhost")
    narrow = make_link(link.origin, username="robot", repositories=("org/app",))
    assert "does not show" in failed_at(await probed(authority, narrow, repository="other/app:v1"))


async def test_a_registry_that_never_answers(authority: UpstreamAuthority) -> None:
    """The test ends in time, and says at which step nothing came."""
    ended = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with upstream_session(authority, rules=LOOPBACK) as session:
            probe = RegistryProbe(session, Clock(), deadline=0.5)
            steps = await probe.probe(make_link(Origin("http", "127.0.0.1", port)), None, "org/app:v1")
    finally:
        ended.set()
        server.close()
    assert "tls: not done within 0.5 s" == failed_at({step.step: step for step in steps})
