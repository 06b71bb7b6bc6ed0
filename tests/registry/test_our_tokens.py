"""Tokens that come out of issuance, at the registry: by its rules for every version, and at the real ones.

Each test of the first part is a row of the protocol notes, sections A1 to A4. No 3.x binary is to be had, so for 3.x
these rules are the proof; test_forgeries.py holds the rules themselves against the real 2.8.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authsvc.client import Client
from authsvc.issuance import ISSUER, Issuance, Lifetimes
from authsvc.policy import locate
from authsvc.redaction import Secret
from authsvc.signing.jws import Leaf
from authsvc.spec.scope import merge_scopes
from authsvc.spec.token_request import TokenRequest, UserPassword
from tests.support.builders import (
    PASSWORD,
    SERVICE,
    Root,
    license_token,
    make_app,
    make_license,
    make_member,
)
from tests.support.desk import opened
from tests.support.real_registry import REALM, RealRegistry
from tests.support.registry_rules import Major, Refused, Registry, real_now

MAJORS = pytest.mark.parametrize("major", [2, 3])
OWNER = ("me@acme.test", PASSWORD)
LICENSE = ("license", license_token().text)
ROOT = Root.make(real_now())


class Office:
    """Everything from a request to a token, as it is wired in a worker, over a store in memory."""

    def __init__(self, issuance: Issuance) -> None:
        """Ask ``issuance``."""
        self._issuance = issuance

    async def token(self, who: tuple[str, Secret], *scopes: str) -> str:
        """Return the token that ``who`` gets for ``scopes``."""
        request = TokenRequest(SERVICE, merge_scopes(scopes), UserPassword(*who))
        issued = await self._issuance.issue(request, Client(), real_now())
        return issued.response.token.reveal()


async def open_office(leaf: Leaf) -> AsyncIterator[Office]:
    """Yield an office that signs with ``leaf``."""
    async with opened() as desk:
        desk.facts_reader.put(make_app("acme-evil", team="evil-team"))
        desk.facts_reader.put(make_license(expires_at=real_now(3600), repositories=("x", "api/**")))
        desk.facts_reader.put(make_member())
        lifetimes = Lifetimes()
        yield Office(
            Issuance(desk.authenticator, leaf, service=SERVICE, lifetimes=lifetimes, new_token_id=lambda: "t1")
        )  # fmt: skip


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """Return an office under a root of its own."""
    async for made in open_office(ROOT.leaf(real_now())):
        yield made


@pytest.fixture
async def at(registry: RealRegistry) -> AsyncIterator[Office]:
    """Return an office whose root the running registry trusts."""
    async for made in open_office(registry.root.leaf(real_now())):
        yield made


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def rules(major: Major, *bundle: x509.Certificate) -> Registry:
    """Return the rules of a registry with our configuration."""
    return Registry(major, bundle or (ROOT.certificate,), ISSUER, SERVICE)


def setting(text: str, name: str) -> str:
    """Return a setting of a rendered registry.yml, as it stands there."""
    found = re.findall(rf"^ *{name}: (.*)$", text, re.MULTILINE)
    assert len(found) == 1, name
    return str(found[0])


# --- by the rules ------------------------------------------------------------------------------------------------


def test_a1_configuration(registry: RealRegistry) -> None:
    """A1: every key that both majors need, realm and issuer ours, and nothing that switches another one on."""
    text = (registry.folder / "registry.yml").read_text().partition("\nauth:\n")[2]
    expected = {
        "realm": REALM,
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(registry.folder / "root.pem"),
    }

    assert expected == {name: json.loads(setting(text, name)) for name in expected}
    assert ["[ES256]", "false"] == [setting(text, name) for name in ("signingalgorithms", "autoredirect")]
    assert "jwks" not in text


@MAJORS
async def test_a2_the_key_is_found_by_x5c(office: Office, major: Major) -> None:
    """A2: x5c is the only key header, and verifies against the bundle; a second root in that does not hurt."""
    token = await office.token(OWNER, "repository:acme/x:pull")
    header, _ = parts(token)
    second = Root.make(real_now()).certificate

    assert set() == {"jwk", "kid", "jku", "x5u", "crit", "b64"} & set(header)
    assert rules(major).allows(token, real_now(), "acme/x", "pull")
    assert rules(major, second, ROOT.certificate).allows(token, real_now(), "acme/x", "pull")


async def test_a2_the_algorithm(office: Office) -> None:
    """A2: ES256, which 2.8 binds to the curve and 3.x finds in signingalgorithms and in its own default."""
    header, _ = parts(await office.token(OWNER))

    assert ("JWT", "ES256") == (header["typ"], header["alg"])


@MAJORS
@pytest.mark.parametrize("seconds", [-9 * 60, 0, 290])
async def test_a2_the_certificate_lives(office: Office, major: Major, seconds: int) -> None:
    """A2: certificate dates have no leeway; ours is valid where the clock is minutes behind, and at the end."""
    token = await office.token(OWNER, "repository:acme/x:pull")
    header, _ = parts(token)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))

    assert leaf.not_valid_before_utc <= real_now(seconds) <= leaf.not_valid_after_utc
    assert seconds < 0 or rules(major).allows(token, real_now(seconds), "acme/x", "pull")


async def test_a3_issuer_audience_subject(office: Office) -> None:
    """A3: iss and aud exactly as configured, aud one string, sub a string that comes back in events."""
    _, claims = parts(await office.token(LICENSE))

    assert (ISSUER, SERVICE, "license:c000000000000001") == tuple(claims[name] for name in ("iss", "aud", "sub"))


async def test_a3_times_are_integers(office: Office) -> None:
    """A3: exp, nbf and iat are JSON integers, written without a point or an exponent."""
    token = await office.token(OWNER, "repository:acme/x:push")
    text = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()

    assert {"exp", "nbf", "iat"} == set(re.findall(r'"(exp|nbf|iat)": ?[0-9]{10}[,}]', text))


@MAJORS
@pytest.mark.parametrize(("seconds", "expected"), [(-115, True), (-130, False), (355, True), (365, False)])
async def test_a3_leeway(office: Office, major: Major, seconds: int, expected: bool) -> None:
    """A3: nbf lies a minute before iat and the leeway is another, so clocks may differ by two; the end has one more."""
    token = await office.token(OWNER, "repository:acme/x:pull")
    registry, at = rules(major), real_now(seconds)

    if expected:
        assert registry.allows(token, at, "acme/x", "pull")
    else:
        with pytest.raises(Refused, match=r"^A3: (expired|not yet valid)$"):
            registry.check(token, at)


async def test_a3_access(office: Office) -> None:
    """A3: a list of type, name and actions; the type exactly ``repository``, no ``*``, no class."""
    scopes = ["repository:acme/x:*", "repository(plugin):acme/x:pull", "registry:catalog:*", "repository:acme/y:pull"]
    _, claims = parts(await office.token(OWNER, *scopes))

    assert [
        {"type": "repository", "name": "acme/x", "actions": ["delete", "pull", "push"]},
        {"type": "repository", "name": "acme/y", "actions": ["pull"]},
    ] == claims["access"]


@MAJORS
async def test_a3_no_access(office: Office, major: Major) -> None:
    """A3: an empty list passes ``/v2/`` and opens nothing."""
    assert {} == rules(major).check(await office.token(LICENSE), real_now())


async def test_a3_the_header_is_short(office: Office) -> None:
    """A3: sixteen repositories fit in the 8 KiB that a proxy gives a header."""
    token = await office.token(OWNER, *(f"repository:acme/{'n' * 80}{number:02}:*" for number in range(16)))

    assert len(f"Authorization: Bearer {token}") < 7 * 1024 + 30


@MAJORS
async def test_a4_pull_comes_with_push(office: Office, major: Major) -> None:
    """A4: the registry checks pull for HEAD during a push, so a push alone opens it too."""
    token = await office.token(OWNER, "repository:acme/x:push")

    assert rules(major).allows(token, real_now(), "acme/x", "pull", "push")
    assert not rules(major).allows(token, real_now(), "acme/x", "delete")


@MAJORS
async def test_a4_names_are_exact(office: Office, major: Major) -> None:
    """A4: a token opens the very name, and no twin of it."""
    token = await office.token(OWNER, "repository:acme/x:*", "repository:Acme/x:pull", "repository:acme:5000/x:pull")
    twins = ["Acme/x", "acme/X", "acme/x/y", "acme", "acme:5000/x", "acme-evil/x", "acme/"]

    assert [False] * len(twins) == [rules(major).allows(token, real_now(), name, "pull") for name in twins]


# --- at the real registries --------------------------------------------------------------------------------------

DIGEST = "sha256:" + "0" * 64
MANIFEST, BLOB, UPLOADS = f"/manifests/{DIGEST}", f"/blobs/{DIGEST}", "/blobs/uploads/"
REQUESTS = [
    ("GET", "acme/x/tags/list", ["repository:acme/x:pull"]),
    ("GET", f"acme/x{MANIFEST}", ["repository:acme/x:pull"]),
    ("HEAD", f"acme/x{BLOB}", ["repository:acme/x:pull"]),
    ("PUT", f"acme/x{MANIFEST}", ["repository:acme/x:pull,push"]),
    ("POST", f"acme/x{UPLOADS}", ["repository:acme/x:pull,push"]),
    ("POST", f"acme/x{UPLOADS}?mount={DIGEST}&from=api/y", ["repository:acme/x:pull,push", "repository:api/y:pull"]),
    ("DELETE", f"acme/x{MANIFEST}", ["repository:acme/x:delete"]),
    ("DELETE", f"acme/x{BLOB}", ["repository:acme/x:delete"]),
]


@pytest.mark.parametrize(("method", "path", "scopes"), REQUESTS, ids=[f"{m} {p[:24]}" for m, p, _ in REQUESTS])
async def test_a_challenge_is_answered(
    registry: RealRegistry, at: Office, method: str, path: str, scopes: list[str]
) -> None:
    """A4: what the registry asks for is what the notes say, our parser reads it, and an owner's token for it opens."""
    challenged = registry.ask(method, f"/v2/{path}")
    token = await at.token(OWNER, *challenged.challenge["scope"].split())
    reply = registry.ask(method, f"/v2/{path}", token)

    assert (401, scopes) == (challenged.status, challenged.scopes)
    assert (REALM, SERVICE) == (challenged.challenge["realm"], challenged.challenge["service"])
    assert scopes == sorted(str(scope) for scope in merge_scopes([challenged.challenge["scope"]]).scopes)
    assert reply.status not in {401, 403}


@pytest.mark.parametrize(("method", "path", "scopes"), REQUESTS, ids=[f"{m} {p[:24]}" for m, p, _ in REQUESTS])
async def test_a_license_pulls_and_nothing_else(
    registry: RealRegistry, at: Office, method: str, path: str, scopes: list[str]
) -> None:
    """A license that answers the challenge reads its own repositories; every other request stays refused."""
    token = await at.token(LICENSE, *scopes)
    reply = registry.ask(method, f"/v2/{path}", token)
    reads = scopes == ["repository:acme/x:pull"]

    assert reads == (reply.status != 401)
    assert reads or reply.challenge["error"] == "insufficient_scope"


async def test_the_catalog_is_closed(registry: RealRegistry, at: Office) -> None:
    """The catalog lists every vendor's repositories: nobody's token opens it."""
    challenged = registry.ask("GET", "/v2/_catalog")
    tokens = [await at.token(who, *challenged.scopes, "registry:catalog:*") for who in (OWNER, LICENSE)]

    assert ["registry:catalog:*"] == challenged.scopes
    assert [401, 401] == [registry.ask("GET", "/v2/_catalog", token).status for token in tokens]


async def test_login(registry: RealRegistry, at: Office) -> None:
    """Docker login: a token for nothing passes ``/v2/``, and opens nothing else."""
    token = await at.token(LICENSE)

    assert [200, 401] == [registry.ask("GET", path, token).status for path in ("/v2/", "/v2/acme/x/tags/list")]


async def test_a_push(registry: RealRegistry, at: Office) -> None:
    """A blob goes up with an owner's token and comes down with a license's; the vendor next door gets neither."""
    push = await at.token(OWNER, "repository:acme/x:push")
    started = registry.ask("POST", f"/v2/acme/x{UPLOADS}", push)
    digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    place = f"{started.headers['location']}&digest={digest}"
    finished = registry.ask("PUT", place, push, body=b"hello")
    pull = await at.token(LICENSE, "repository:acme/x:pull", "repository:acme-evil/x:pull")

    assert [202, 201] == [started.status, finished.status]
    assert started.headers["location"].startswith("/v2/acme/x/blobs/uploads/")
    assert b"hello" == registry.ask("GET", f"/v2/acme/x/blobs/{digest}", pull).body
    assert registry.ask("GET", f"/v2/acme-evil/x/blobs/{digest}", pull).status == 401


NAMES = st.one_of(
    st.sampled_from(
        ["acme/x", "acme/" + "a" * 250, "acme/a.b_c__d-e---f", "proxy/acme/hub/x", "0/0", "acme-evil/x/y/z"]
    ),
    st.lists(st.text("ab0", min_size=1, max_size=5), min_size=2, max_size=4).map("/".join),
    st.text("ab-_./A", min_size=3, max_size=12),
)


@given(name=NAMES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_name_means_the_same_to_both(registry: RealRegistry, name: str) -> None:
    """Whatever name belongs to an app, the registry takes for that very name and asks for it letter by letter."""
    if locate(name) is None:
        return
    reply = registry.ask("GET", f"/v2/{name}/tags/list")

    assert (401, [f"repository:{name}:pull"]) == (reply.status, reply.scopes)


async def test_a_license_at_its_end(registry: RealRegistry) -> None:
    """A token never outlives its license: the registry sees the license's end in it."""
    ends = real_now(30)
    async with opened() as desk:
        desk.facts_reader.put(evolve(make_license(), expires_at=ends))
        leaf, lifetimes = registry.root.leaf(real_now()), Lifetimes()
        issuance = Issuance(desk.authenticator, leaf, service=SERVICE, lifetimes=lifetimes, new_token_id=lambda: "t")
        token = await Office(issuance).token(LICENSE, "repository:acme/x:pull")

    assert registry.ask("GET", "/v2/acme/x/tags/list", token).status != 401
    assert timedelta(0) <= ends - real_now(parts(token)[1]["exp"] - real_now().timestamp()) < timedelta(seconds=2)
