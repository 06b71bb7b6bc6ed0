"""The protocol of the key service: what is sent arrives, and everything else is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.keys import messages
from authsvc.keys.messages import (
    MAX_REPLY,
    MAX_REQUEST,
    CreateKeys,
    DeriveLicenseToken,
    DescribeKeys,
    InstallKey,
    KeyReply,
    ListLicenseKeys,
    MessageRefused,
    Operation,
    RotateLicenseKey,
    RotateSealingKey,
    Seal,
    SignLicense,
    Unseal,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from authsvc.keys.seal_context import SealContext

CONTEXT = SealContext("ecr_token", "acme", "link1", 1)
REQUESTS: tuple[Operation, ...] = (
    SignLicense(b'{"id": "x"}'),
    DeriveLicenseToken("0" * 16, 2),
    ListLicenseKeys(),
    Seal(b"\x00\xff", CONTEXT),
    Unseal("sealed1.x.y", CONTEXT),
)
ADMINISTRATION: tuple[Operation, ...] = (
    DescribeKeys(),
    InstallKey("sealing.key", b"\x00" * 70_000),
    CreateKeys(),
    RotateLicenseKey(),
    RotateSealingKey(),
)


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_arrive(request_: Operation) -> None:
    """Every operation arrives as it was sent."""
    assert decode_request(encode_request(7, request_)) == (7, request_)


@pytest.mark.parametrize("request_", ADMINISTRATION)
def test_administration_needs_its_socket(request_: Operation) -> None:
    """What changes keys arrives from the administration socket and from no other."""
    packet = encode_request(7, request_)

    assert decode_request(packet, administration=True) == (7, request_)
    with pytest.raises(MessageRefused):
        decode_request(packet)


def test_every_operation_is_tested() -> None:
    """The lists above are complete."""
    assert {messages.name_of(one) for one in REQUESTS} == set(messages.OPERATIONS)
    assert {messages.name_of(one) for one in ADMINISTRATION} == set(messages.ADMINISTRATION)


GOOD: dict[str, Any] = {"number": 1, "operation": "derive_license_token", "license_id": "x", "generation": 1}
HOSTILE: list[Any] = [
    *({**GOOD, "number": number} for number in (None, 0, -1, True, 1.0, "1", 2**53)),
    *({**GOOD, "operation": operation} for operation in (None, "", "rotate_license_key", ["seal"], 1)),
    {**GOOD, "operation": {}},
    *({**GOOD, "generation": generation} for generation in ("1", True, 1.5, None, [1])),
    *({**GOOD, "license_id": license_id} for license_id in (1, None, ["x"])),
    {**GOOD, "more": 1},
    {name: value for name, value in GOOD.items() if name != "generation"},
    {"number": 1, "operation": "seal", "secret": "!!!", "context": {}},
    {"number": 1, "operation": "seal", "secret": "AA==", "context": {"kind": "K"}},
    {"number": 1, "operation": "seal", "secret": "AA==", "context": None},
    {"number": 1, "operation": "sign_license", "payload": "é"},
    [],
    "text",
    None,
    7,
]


@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: json.dumps(message)[:60])
def test_hostile_requests(message: object) -> None:
    """A message with anything wrong is refused."""
    with pytest.raises(MessageRefused):
        decode_request(json.dumps(message).encode())


@pytest.mark.parametrize("packet", [b"", b"{", b"\xff", b"[" * 15_000, b'{"number": 1e999}', b"\x00" * 100])
def test_junk(packet: bytes) -> None:
    """So is what is not JSON, or only half of a message."""
    with pytest.raises(MessageRefused):
        decode_request(packet)


@given(st.binary(max_size=200))
def test_any_bytes(packet: bytes) -> None:
    """No bytes raise anything but a refusal."""
    for decode in (decode_request, decode_reply):
        with pytest.raises(MessageRefused):
            decode(packet)


def test_half_a_message() -> None:
    """No beginning of a message is a message."""
    packet = encode_request(1, Seal(b"secret", CONTEXT))
    for length in range(len(packet)):
        with pytest.raises(MessageRefused):
            decode_request(packet[:length])


def test_lengths() -> None:
    """A request that is too long is refused by who sends it and by who gets it; a reply becomes a refusal."""
    with pytest.raises(InputRefused):
        encode_request(1, SignLicense(b"x" * MAX_REQUEST))
    packet = json.dumps({**GOOD, "license_id": "x" * MAX_REQUEST}).encode()
    with pytest.raises(MessageRefused) as refusal:
        decode_request(packet)
    assert refusal.value.code == messages.TOO_LONG
    reply = decode_reply(encode_reply(KeyReply(1, {"keys": "x" * MAX_REPLY})))
    assert (reply.number, reply.result, reply.code) == (1, None, messages.TOO_LONG)


def test_secrets_are_not_printed() -> None:
    """Neither a request nor a refusal shows what it holds."""
    secret = b"very secret text"
    for one in (Seal(secret, CONTEXT), SignLicense(secret), InstallKey("sealing.key", secret)):
        assert "secret text" not in repr(one)
    packet = json.dumps({**GOOD, "license_id": ["very secret text"]}).encode()
    with pytest.raises(MessageRefused) as refusal:
        decode_request(packet)
    assert "secret" not in str(refusal.value)
    assert "secret" not in repr(KeyReply(1, {"secret": "secret"}))
