"""What asks external registries for the use cases, put together as a server and a command do."""

import base64
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.settings import load
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.providers import Provider
from authsvc.wiring.upstreams import RegistryChecks, address_rules
from tests.support.upstream_links import Names, make_link, origin_of, upstream_session
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


async def test_a_test_of_amazon_s_key_asks_amazon_each_time(tmp_path: Path) -> None:
    """A token that was fetched before says nothing about the key now."""
    authority = UpstreamAuthority.make(tmp_path)
    with StubUpstream(tls=authority.issue("localhost", HOST).server_context()) as stub:
        stub.auth, stub.users = "basic", {"AWS": "token"}
        ends_at = (datetime.now(UTC) + timedelta(hours=12)).timestamp()
        token = base64.b64encode(b"AWS:token").decode()
        data = {"authorizationToken": token, "expiresAt": ends_at, "proxyEndpoint": "https://x"}
        given = Answer(200, (), json.dumps({"authorizationData": [data]}).encode())
        gone = Answer(400, (), json.dumps({"__type": "UnrecognizedClientException"}).encode())
        link = make_link(origin_of(stub, HOST), provider=Provider.ECR, username=KEY_ID, sealed_secret="sealed")
        async with upstream_session(authority, names=Names({HOST: [["127.0.0.1"]]})) as session:
            checks = RegistryChecks(session, time.monotonic, lambda _: origin_of(stub))

            async def token_step() -> ProbeStep:
                steps = await checks.probe(link, Secret(SECRET), None)
                return next(step for step in steps if step.step == "token")

            stub.answers["/"] = given
            assert (await token_step()).ok is True
            stub.answers["/"] = gone
            assert (await token_step()).ok is False


@pytest.mark.parametrize(
    ("redis", "services"),
    [
        ("redis://:secret@redis/0", {("redis", 6379)}),
        ("rediss://10.0.0.3:7000", {("10.0.0.3", 7000)}),
        ("unix:///run/redis.sock", set()),
        ("redis+sentinel://a,[::2]:7001/main", {("a", 26379), ("::2", 7001)}),
        ("rediss+sentinel://a/main?sentinel_password=secret", {("a", 26379)}),
    ],
)
def test_services_of_this_installation_are_no_upstreams(
    tmp_path: Path, redis: str, services: set[tuple[str, int]]
) -> None:
    """Those that the settings name, and the server itself."""
    settings = load(
        {
            "AUTHSVC_REDIS_URL": redis,
            "AUTHSVC_REGISTRY_URL": "http://registry:5000",
            "AUTHSVC_SECRETS_DIR": str(tmp_path),
            "AUTHSVC_PUBLIC_URL": "https://registry.example.com",
        }
    )
    listeners = {(socket.gethostname().lower(), port) for port in (8080, 8081)}
    assert address_rules(settings).services == services | listeners | {("registry", 5000)}


async def test_addresses_are_checked_by_the_same_rules(tmp_path: Path) -> None:
    """What may not be connected to may not be saved."""
    async with upstream_session(UpstreamAuthority.make(tmp_path)) as session:
        checks = RegistryChecks(session, time.monotonic)
        await checks.vet_host(Origin("https", "127.0.0.1", 443), "acme")
        with pytest.raises(InputRefused):
            await checks.vet_host(Origin("https", "10.0.0.1", 443), "acme")
