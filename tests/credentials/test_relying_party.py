"""WebAuthn with real bytes: what browsers may send never fails in another way than by being refused."""

import json
from contextlib import suppress

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.credentials.passkey_challenge import MAX_SKEW, ChallengePurpose, PasskeyChallenge, day_of
from authsvc.credentials.passkeys import any_passkey_options
from authsvc.credentials.relying_party import ALGORITHMS, MAX_ANSWER, RelyingParty
from authsvc.errors import CredentialsRefused
from authsvc.tenancy.passkey import CHALLENGE_LIFE, Passkey
from tests.support.builders import NOW, make_member
from tests.support.software_authenticator import SoftwareAuthenticator, b64, unb64

PARTY = RelyingParty("registry.example.com", "https://registry.example.com")
MEMBER = make_member()
CHALLENGE = bytes(range(53))


def registered(key: SoftwareAuthenticator) -> Passkey:
    """Return the record of a passkey that ``key`` has made."""
    answer = key.create(PARTY.creation_options(MEMBER, (), CHALLENGE))
    made = PARTY.registered(PARTY.read_attestation(answer))
    return Passkey(made.id, MEMBER.id, "key", made.credential, made.rp_id, NOW, made.sign_count, made.synced)


KEY = SoftwareAuthenticator(PARTY.origin)
PASSKEY = registered(KEY)
SIGNED = KEY.get(any_passkey_options(PARTY.id, CHALLENGE))
MADE = KEY.create(PARTY.creation_options(MEMBER, (), CHALLENGE))


def test_what_browsers_are_asked() -> None:
    """Discoverable, with verification of the person, without attestation, and with no name of ours in the handle."""
    asked = json.loads(PARTY.creation_options(MEMBER, (PASSKEY,), CHALLENGE))
    assert asked["rp"] == {"id": "registry.example.com", "name": "registry.example.com"}
    assert (unb64(asked["challenge"]), unb64(asked["user"]["id"])) == (CHALLENGE, MEMBER.id.encode())
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["attestation"] == "none"
    assert tuple(one["alg"] for one in asked["pubKeyCredParams"]) == ALGORITHMS
    assert [unb64(one["id"]) for one in asked["excludeCredentials"]] == [KEY.credential_id]
    asked = json.loads(any_passkey_options(PARTY.id, CHALLENGE))
    assert asked == {"challenge": b64(CHALLENGE), "rpId": "registry.example.com", "userVerification": "required"}
    of_one = json.loads(PARTY.request_options(CHALLENGE, (PASSKEY,)))
    assert [unb64(one["id"]) for one in of_one.pop("allowCredentials")] == [KEY.credential_id]
    assert of_one == asked


def test_a_true_answer_is_good() -> None:
    """The counter comes back."""
    assertion = PARTY.read_assertion(SIGNED)
    assert (assertion.passkey_id, assertion.challenge) == (PASSKEY.id, CHALLENGE)
    assert PARTY.verified(assertion, PASSKEY) == 0
    with pytest.raises(CredentialsRefused):
        PARTY.verified(assertion, evolve(registered(SoftwareAuthenticator(PARTY.origin)), id=PASSKEY.id))


@st.composite
def damaged(draw: st.DrawFn, answer: str) -> str:
    """Return an answer of which one byte string is changed, cut or replaced, or that is not an answer at all."""
    found = json.loads(answer)
    name = draw(st.sampled_from(sorted(found["response"])))
    raw = unb64(found["response"][name])
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(len(raw), start + 8)))
    found["response"][name] = b64(raw[:start] + draw(st.binary(max_size=8)) + raw[end:])
    return json.dumps(found)


@settings(max_examples=300, deadline=None)
@given(damaged(SIGNED))
def test_a_damaged_signature_is_refused(text: str) -> None:
    """In the one way in which a passkey is refused, whatever the library makes of it."""
    if json.loads(text)["response"] == json.loads(SIGNED)["response"]:
        return
    try:
        assertion = PARTY.read_assertion(text)
        PARTY.verified(assertion, PASSKEY)
    except CredentialsRefused:
        return
    same = ("authenticatorData", "clientDataJSON")
    assert all(json.loads(text)["response"][name] == json.loads(SIGNED)["response"][name] for name in same)


@settings(max_examples=300, deadline=None)
@given(damaged(MADE))
def test_a_damaged_registration_is_refused_or_read(text: str) -> None:
    """Nothing else is raised; nobody signs a registration without attestation, so some damage makes another key."""
    with suppress(CredentialsRefused):
        made = PARTY.registered(PARTY.read_attestation(text))
        assert len(made.id) == len(PASSKEY.id)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", '"x"', "1e999", "[" * 5000, "\ud800", '{"id": "AA", "rawId": "AB", "response": {}}'),
        json.dumps(
            {**json.loads(MADE), "response": {**json.loads(MADE)["response"], "attestationObject": b64(b"\x81" * 9000)}}
        ),
        SIGNED + " " * MAX_ANSWER,
    ],
)
def test_junk_is_refused(text: str) -> None:
    """Without an error of another kind."""
    for read in (PARTY.read_assertion, PARTY.read_attestation):
        with pytest.raises(CredentialsRefused):
            read(text)


def test_challenges() -> None:
    """Bound to the key, the purpose, the browser and the time."""
    key, nonce = b"k" * 32, b"n" * 16
    made = PasskeyChallenge.make(key, ChallengePurpose.SIGN_IN, "browser", NOW, nonce)
    read = PasskeyChallenge.parse(made.raw)
    assert read is not None
    assert (read.raw, day_of(read.issued_at)) == (made.raw, day_of(NOW))
    assert read.is_ours(key, ChallengePurpose.SIGN_IN, "browser")
    for another in (
        read.is_ours(b"x" * 32, ChallengePurpose.SIGN_IN, "browser"),
        read.is_ours(key, ChallengePurpose.CONFIRM, "browser"),
        read.is_ours(key, ChallengePurpose.SIGN_IN, "another"),
        evolve(read, nonce=b"m" * 16).is_ours(key, ChallengePurpose.SIGN_IN, "browser"),
        evolve(read, issued_at=NOW + CHALLENGE_LIFE).is_ours(key, ChallengePurpose.SIGN_IN, "browser"),
    ):
        assert not another
    issued = read.issued_at
    assert [read.in_time(issued + span) for span in (-MAX_SKEW, CHALLENGE_LIFE / 2)] == [True, True]
    assert [read.in_time(issued + span) for span in (-2 * MAX_SKEW, CHALLENGE_LIFE)] == [False, False]
    assert [PasskeyChallenge.parse(raw) for raw in (b"", made.raw[:-1], made.raw + b"x")] == [None] * 3
    assert PasskeyChallenge.parse(b"\xff" * 53) is not None
