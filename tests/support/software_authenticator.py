"""An authenticator and the browser in front of it, in software: real keys, real bytes of WebAuthn, and every lie."""

import base64
import hashlib
import json
import secrets
from typing import Any

from attrs import define, field, frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
"""Flags of authenticator data (WebAuthn §6.1): user present, user verified, backup eligible, backed up, attested."""


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value: Any) -> bytes:
    """Return as much of CBOR (RFC 8949) as an attestation needs: integers, bytes, text, and maps in their order."""
    match value:
        case int() if value >= 0:
            return _head(0, value)
        case int():
            return _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case dict():
            return _head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
        case _:
            raise TypeError(value)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    length = 1 if number < 1 << 8 else 2
    return bytes([major << 5 | (23 + length)]) + number.to_bytes(length, "big")


@frozen
class Lies:
    """What differs from the truth.

    Attributes:
        origin: that the browser writes.
        rp_id: that the authenticator signs for.
        flags: of the authenticator data, without AT.
        challenge: that is answered.
        client_data: added to what the browser writes, or replacing it.
        user_handle: of the member; empty for none.
        alg: that the key claims to be for.
        count: the counter.
    """

    origin: str | None = None
    rp_id: str | None = None
    flags: int | None = None
    challenge: bytes | None = None
    client_data: dict[str, Any] = field(factory=dict)
    user_handle: bytes | None = None
    alg: int | None = None
    count: int | None = None


TRUTH = Lies()


@define
class SoftwareAuthenticator:
    """One discoverable credential.

    Attributes:
        origin: of the page that the browser shows.
        key: private.
        credential_id: chosen by the authenticator.
        count: its counter.
        counts: whether it counts.
        synced: whether it says that it may be copied, and is.
        user_handle: of the member, as it was asked to keep.
        rp_id: of the page.
    """

    origin: str
    key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(factory=lambda: secrets.token_bytes(32))
    count: int = 0
    counts: bool = False
    synced: bool = False
    user_handle: bytes = b""
    rp_id: str = ""

    def create(self, options: str, lies: Lies = TRUTH) -> str:
        """Return the answer to what the page asks a new passkey with."""
        asked = json.loads(options)
        self.user_handle, self.rp_id = unb64(asked["user"]["id"]), asked["rp"]["id"]
        numbers = self.key.public_key().public_numbers()
        alg = -7 if lies.alg is None else lies.alg
        cose = {1: 2, 3: alg, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor(cose)
        data = self._data(lies, AT) + attested
        attestation = cbor({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", asked, lies)
        return self._answer({"clientDataJSON": b64(client), "attestationObject": b64(attestation)})

    def get(self, options: str, lies: Lies = TRUTH) -> str:
        """Return the answer to what the page asks for a signature with."""
        asked = json.loads(options)
        allowed = asked.get("allowCredentials")
        assert allowed is None or b64(self.credential_id) in [one["id"] for one in allowed], "it is not asked for this"
        if self.counts:
            self.count += 1
        data, client = self._data(lies), self._client("webauthn.get", asked, lies)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        handle = self.user_handle if lies.user_handle is None else lies.user_handle
        return self._answer(
            {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(signature),
                **({"userHandle": b64(handle)} if handle else {}),
            }
        )

    def _data(self, lies: Lies, more: int = 0) -> bytes:
        flags = UP | UV | (BE | BS if self.synced else 0) if lies.flags is None else lies.flags
        count = self.count if lies.count is None else lies.count
        host = hashlib.sha256((lies.rp_id or self.rp_id).encode()).digest()
        return host + bytes([flags | more]) + count.to_bytes(4, "big")

    def _client(self, kind: str, asked: dict[str, Any], lies: Lies) -> bytes:
        challenge = asked["challenge"] if lies.challenge is None else b64(lies.challenge)
        written = {"type": kind, "challenge": challenge, "origin": lies.origin or self.origin, "crossOrigin": False}
        return json.dumps({**written, **lies.client_data}).encode()

    def _answer(self, response: dict[str, str]) -> str:
        name = b64(self.credential_id)
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
                "authenticatorAttachment": "platform",
            }
        )
