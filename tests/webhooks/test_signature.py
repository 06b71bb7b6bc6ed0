"""Signatures of webhooks, against an independent computation and a published example."""

import base64
import hashlib
import hmac

import pytest

from authsvc.redaction import Secret
from authsvc.webhooks.signature import new_secret, signed_headers, signing_key

PUBLISHED = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
"""Secret of the example that libraries of Standard Webhooks are tested with."""


def test_the_published_example() -> None:
    """Equal to what other implementations of the specification make of the same message."""
    headers = signed_headers([PUBLISHED], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_new_secret_is_its_bytes() -> None:
    """Behind the prefix is base64 of the random bytes, which are the key."""
    entropy = bytes(range(32))
    secret = new_secret(entropy)
    assert secret.reveal() == "whsec_" + base64.b64encode(entropy).decode()
    assert signing_key(secret) == entropy


@pytest.mark.parametrize("length", [0, 23, 65])
def test_secrets_of_another_length_are_refused(length: int) -> None:
    """The specification allows 24 to 64 bytes."""
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        new_secret(bytes(length))
    with pytest.raises(ValueError, match="whsec_ and base64"):
        signing_key(Secret("whsec_" + base64.b64encode(bytes(length)).decode()))


@pytest.mark.parametrize("text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not/base64!", "whsec_ü"])
def test_what_is_not_a_secret(text: str) -> None:
    """The prefix and strict base64 are needed."""
    with pytest.raises(ValueError, match="whsec_ and base64"):
        signing_key(Secret(text))


def test_every_part_is_signed() -> None:
    """Another id, time, body or secret has another signature."""
    asked = [
        ([PUBLISHED], "evt_1", 1, b"{}"),
        ([PUBLISHED], "evt_2", 1, b"{}"),
        ([PUBLISHED], "evt_1", 2, b"{}"),
        ([PUBLISHED], "evt_1", 1, b"{ }"),
        ([new_secret(bytes(32))], "evt_1", 1, b"{}"),
    ]
    assert len({signed_headers(*one)["webhook-signature"] for one in asked}) == len(asked)


def test_an_id_cannot_take_over_the_time() -> None:
    """With a dot in it, one signature would hold for two readings of the message."""
    with pytest.raises(ValueError, match="id of an event"):
        signed_headers([PUBLISHED], "evt.1", 1, b"{}")


def test_the_body_is_signed_as_it_is() -> None:
    """Bytes, not characters."""
    body = '{"customer":"Müller"}'.encode()
    expected = hmac.digest(signing_key(PUBLISHED), b"evt_1.5." + body, hashlib.sha256)
    assert (
        signed_headers([PUBLISHED], "evt_1", 5, body)["webhook-signature"]
        == f"v1,{base64.b64encode(expected).decode()}"
    )


def test_two_secrets_sign_side_by_side() -> None:
    """As the specification says for the time in which a secret is replaced; each alone is as without the other."""
    both = [new_secret(bytes(32)), PUBLISHED]
    signatures = signed_headers(both, "evt_1", 1, b"{}")["webhook-signature"].split(" ")
    assert signatures == [signed_headers([one], "evt_1", 1, b"{}")["webhook-signature"] for one in both]
