"""The way from request to token: the numbered steps together."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authsvc.client import Client
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, MemberSubject, Subject
from authsvc.errors import CredentialsRefused, SignerUnavailable, StoreUnavailable
from authsvc.issuance import ISSUER, Denied, Issuance, Issued, Lifetimes
from authsvc.redaction import Secret
from authsvc.signing.jws import Leaf
from authsvc.spec.claims import Access
from authsvc.spec.scope import ScopeSet, merge_scopes
from authsvc.spec.token_request import TokenRequest, UserPassword
from authsvc.spec.token_response import TokenResponse
from authsvc.tenancy.records import Member, Role
from tests.support.builders import (
    NOW,
    SERVICE,
    Knows,
    Root,
    as_license,
    as_member,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_refresh_token,
)

MAX_TOKEN = 7 * 1024
"""Bytes of a token that pass every proxy with its default header limits (design #10)."""

LEAF = Root.make().leaf()
OWNER = as_member(make_member(), make_app())
LICENSE = as_license(make_license())


@frozen
class SignIns:
    """Keeps sign-ins in memory."""

    kept: list[tuple[str, str | None]] = field(factory=list)

    async def keep(self, member: Member, client: str | None, now: datetime) -> Secret | None:
        """Return a refresh token."""
        del now
        self.kept.append((member.id, client))
        return Secret("asv_ref_x")


def request(*scopes: str, **changes: Any) -> TokenRequest:
    """Return a request for ``scopes``."""
    return replace(
        TokenRequest(SERVICE, merge_scopes(scopes), UserPassword("me@acme.test", Secret("x" * 20))), **changes
    )


async def issue(
    subject: Subject, asked: TokenRequest, *, now: datetime = NOW, signer: Leaf = LEAF, **changes: Any
) -> Issued:
    """Issue a token for ``subject``."""
    facts: dict[str, Any] = {"service": SERVICE, "lifetimes": Lifetimes(), "new_token_id": lambda: "t1"}
    return await Issuance(Knows(subject), signer, **facts | changes).issue(asked, Client(), now)


def claims_of(issued: Issued) -> dict[str, Any]:
    """Return what the token says, its signature checked."""
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    token = issued.response.token.reveal()
    return dict(jwt.decode(token, LEAF.key.public_key(), algorithms=["ES256"], audience=SERVICE, options=options))


async def test_a_token() -> None:
    """Everything that stands in a token for a push, from one reading of the clock."""
    issued = await issue(OWNER, request("repository:acme/x:push,pull", "repository:other/x:pull"))
    now = int(NOW.timestamp())
    expected = {
        "iss": "authsvc",
        "sub": "member:m000000000000001",
        "aud": SERVICE,
        "iat": now,
        "nbf": now - 60,
        "exp": now + 900,
        "jti": "t1",
        "access": [{"type": "repository", "name": "acme/x", "actions": ["pull", "push"]}],
    }

    assert expected == claims_of(issued)
    assert ("authsvc", OWNER, 870, NOW) == (
        ISSUER,
        issued.subject,
        issued.response.expires_in,
        issued.response.issued_at,
    )


async def test_a_scopeless_request() -> None:
    """Docker login asks for nothing, and gets a token that opens nothing."""
    assert claims_of(await issue(LICENSE, request()))["access"] == []


async def test_nothing_granted_is_a_token_too() -> None:
    """A refused scope never fails the request: mounts and builds of several repositories depend on it."""
    issued = await issue(
        LICENSE, request("repository:acme-evil/x:pull", "repository:acme/x:push", "registry:catalog:*")
    )

    assert [] == claims_of(issued)["access"]
    assert [
        ("repository:acme-evil/x:pull", "pull"),
        ("repository:acme/x:push", "push"),
        ("registry:catalog:*", "*"),
    ] == [(refusal.scope, refusal.action) for refusal in issued.decision.refusals]


@pytest.mark.parametrize(
    "service", ["", "other.test", SERVICE.upper(), f"{SERVICE} ", f"{SERVICE}\n", f"{SERVICE},x", "x" * 10_000, "*"]
)
async def test_another_service(service: str) -> None:
    """A token for another service is never issued, and the name that was asked for is not believed or echoed."""
    with pytest.raises(CredentialsRefused, match=r"issues tokens for registry\.vendor\.test:5000 only") as refused:
        await issue(OWNER, request(service=service))

    assert len(str(refused.value)) < 200
    assert len(refused.value.detail or "") < 250


async def test_no_service() -> None:
    """Who names no service gets a token for the one there is."""
    assert claims_of(await issue(OWNER, request(service=None)))["aud"] == SERVICE


async def test_the_store_is_asked_for_what_is_needed() -> None:
    """Only the namespaces of well-formed repositories are looked up."""
    knows = Knows(OWNER)
    issuance = Issuance(knows, LEAF, service=SERVICE, lifetimes=Lifetimes(), new_token_id=lambda: "t")
    await issuance.issue(request("repository:acme/x:pull repository:a//b:pull registry:catalog:*"), Client(), NOW)

    assert [frozenset({"acme"})] == knows.asked


async def test_a_denied_account() -> None:
    """An account that does not count gets a sentence instead of a token; the log learns who it was."""
    revoked = as_license(make_license(revoked_at=NOW))
    with pytest.raises(
        Denied, match=r"^license c000000000000001 of Globex was revoked on .*; contact sales@"
    ) as denied:
        await issue(revoked, request("repository:acme/x:pull"))

    assert (revoked, "license:c000000000000001 was denied") == (denied.value.subject, denied.value.detail)


@pytest.mark.parametrize(
    ("subject", "scope", "left", "life", "expires_in"),
    [
        (OWNER, "repository:acme/x:pull", None, 300, 270),
        (OWNER, "repository:acme/x:push", None, 900, 870),
        (OWNER, "repository:acme/x:delete", None, 900, 870),
        (LICENSE, "repository:acme/x:pull,push", None, 300, 270),
        (LICENSE, "repository:acme/x:pull", 301, 300, 270),
        (LICENSE, "repository:acme/x:pull", 200, 200, 170),
        (LICENSE, "repository:acme/x:pull", 90, 90, 60),
        (LICENSE, "repository:acme/x:pull", 10, 10, 60),
        (LICENSE, "repository:acme/x:pull", 1, 1, 60),
    ],
)
async def test_lives(subject: Subject, scope: str, left: int | None, life: int, expires_in: int) -> None:
    """Pull 5 min, push 15 min, never beyond the license; what clients are told is 30 s less, and 60 s at least."""
    if left is not None:
        subject = as_license(make_license(expires_at=NOW + timedelta(seconds=left)))
    issued = await issue(subject, request(scope))
    claims = claims_of(issued)

    assert (life, expires_in) == (claims["exp"] - claims["iat"], issued.response.expires_in)


LIVES = st.integers(60, 3600).map(lambda seconds: timedelta(seconds=seconds))


@given(
    LIVES,
    LIVES,
    st.timedeltas(timedelta(microseconds=1), timedelta(hours=2)),
    st.timedeltas(timedelta(0), timedelta(seconds=1)),
    st.sampled_from(["repository:acme/x:pull", "repository:acme/x:*", ""]),
)
def test_no_token_outlives_its_right(
    pull: timedelta, push: timedelta, left: timedelta, past: timedelta, scope: str
) -> None:
    """At any fraction of a second times are integers, and the end never lies beyond the license's."""
    now = NOW + past
    license_ = make_license(expires_at=now + left)
    issued = asyncio.run(issue(as_license(license_), request(scope), now=now, lifetimes=Lifetimes(pull, push)))
    claims = claims_of(issued)

    assert {int} == {type(claims[name]) for name in ("iat", "nbf", "exp")}
    assert claims["exp"] <= license_.expires_at.timestamp()
    assert claims["exp"] - claims["iat"] <= max(pull, push).total_seconds()
    assert claims["nbf"] <= claims["iat"] - 60
    assert issued.response.expires_in == max(60, int(min(pull, left).total_seconds()) - 30) or left > pull


async def test_from_memory() -> None:
    """A license that is believed while the store is away gets a minute, and the token says why."""
    claims = claims_of(
        await issue(LicenseSubject(LICENSE.license, LICENSE.app, stale=True), request("repository:acme/x:pull"))
    )

    assert (60, True) == (claims["exp"] - claims["iat"], claims["degraded"])
    assert "degraded" not in claims_of(await issue(LICENSE, request()))


async def test_several_licenses() -> None:
    """The subject names those that granted, sorted, and the token ends with the first of them."""
    ends = [NOW + timedelta(seconds=seconds) for seconds in (200, 100, 50)]
    slugs = ("api", "acme", "annex")
    each = [make_license(f"c{3 - at}", app=slugs[at], expires_at=end) for at, end in enumerate(ends)]
    subject = LicensesSubject(tuple(each), {slug: make_app(slug) for slug in slugs})

    both = claims_of(await issue(subject, request("repository:api/x:pull", "repository:acme/x:pull,push")))
    one = claims_of(await issue(subject, request("repository:api/x:pull", "repository:acme/x:push")))

    assert ("license:c2,c3", 100) == (both["sub"], both["exp"] - both["iat"])
    assert ("license:c3", 200) == (one["sub"], one["exp"] - one["iat"])


async def test_several_licenses_from_memory() -> None:
    """What those seen lately grant is granted for a minute; what they do not cover waits for the store."""
    known = make_license("c1", app="api")
    subject = LicensesSubject((known,), {"api": make_app("api")}, stale=True, unchecked=True)
    claims = claims_of(await issue(subject, request("repository:api/x:pull", "repository:acme/x:pull")))

    assert (["api/x"], 60, True) == (
        [entry["name"] for entry in claims["access"]],
        claims["exp"] - claims["iat"],
        claims["degraded"],
    )
    with pytest.raises(StoreUnavailable):
        await issue(subject, request("repository:acme/x:pull"))


async def test_one_of_several_licenses_is_denied() -> None:
    """The denial is about the license that would have granted, and says nothing of the others."""
    ended, good = make_license("c1", revoked_at=NOW), make_license("c2", app="api")
    subject = LicensesSubject((ended, good), {"acme": make_app("acme")})
    with pytest.raises(Denied, match=r"^license c1 of Globex was revoked on ") as denied:
        await issue(subject, request("repository:acme/x:pull"))

    assert "license:c1" == denied.value.subject.id


async def test_no_leaf_lives_long_enough() -> None:
    """A token that would outlive its certificate is not signed."""
    with pytest.raises(SignerUnavailable):
        await issue(OWNER, request("repository:acme/x:push"), now=LEAF.not_after - timedelta(minutes=14))


@pytest.mark.parametrize(
    ("subject", "offline", "expected"),
    [
        (OWNER, True, ("m000000000000001", "docker")),
        (OWNER, False, None),
        (LICENSE, True, None),
        (MemberSubject(make_member(), {}, make_personal_token()), True, None),
        (MemberSubject(make_member(), {}, make_refresh_token()), True, None),
    ],
    ids=["password", "not asked", "license", "personal token", "refresh token"],
)
async def test_who_gets_a_refresh_token(subject: Subject, offline: bool, expected: tuple[str, str] | None) -> None:
    """A member's password alone, and only when the client asks (design #8)."""
    sign_ins = SignIns()
    issued = await issue(subject, request(offline=offline, client_id="docker"), sign_ins=sign_ins)

    assert [expected] * bool(expected) == sign_ins.kept
    assert ("refresh_token" in issued.response.to_json()) == bool(expected)


async def test_no_refresh_token_when_it_is_off() -> None:
    """With the setting off nobody gets one."""
    assert "refresh_token" not in (await issue(OWNER, request(offline=True))).response.to_json()


async def test_a_denied_account_keeps_nothing() -> None:
    """A sign-in that was denied leaves no refresh token behind."""
    sign_ins = SignIns()
    with pytest.raises(Denied):
        await issue(as_member(make_member(disabled_at=NOW)), request(offline=True), sign_ins=sign_ins)

    assert [] == sign_ins.kept


async def test_the_reply_has_one_token_twice() -> None:
    """The token is in both fields, of one form for every client."""
    issued = await issue(OWNER, request())
    expected = TokenResponse(issued.response.token, 270, NOW).to_json()

    assert expected == issued.response.to_json()
    assert json.dumps(expected)
    assert issued.response.token.reveal() not in repr(issued)


NAMES = ["acme/" + "/".join([f"{number:02}"] + ["abcdefghi"] * 24)[:250] for number in range(40)]
"""More of the longest names than one token may hold."""

LONGEST_SERVICE = ".".join(["a" * 62] * 4) + ":65535"


@pytest.mark.parametrize("action", ["pull", "*", "delete,pull,push"])
@pytest.mark.parametrize("length", [20, 80, 150, 255])
async def test_the_longest_token(action: str, length: int) -> None:
    """Whatever is asked by whoever may everything, a token stays below 7 KiB and dies in nobody's proxy."""
    names = [name[:length].rstrip("/") for name in NAMES]
    member = make_member(Role.OWNER)
    asked = request(" ".join(f"repository:{name}:{action}" for name in names), service=LONGEST_SERVICE)
    issued = await issue(as_member(member, make_app()), asked, service=LONGEST_SERVICE, new_token_id=lambda: "f" * 32)

    assert issued.decision.access
    assert len(issued.response.token.reveal()) <= MAX_TOKEN


async def test_dropped_scopes_do_not_fail() -> None:
    """What did not fit is left out of the token; the rest is granted."""
    asked = request(*(f"repository:acme/{number}:pull" for number in range(40)))
    issued = await issue(OWNER, asked)

    assert ScopeSet(asked.scopes.scopes, 24) == asked.scopes
    assert tuple(Access("repository", f"acme/{number}", ("pull",)) for number in range(16)) == issued.decision.access
