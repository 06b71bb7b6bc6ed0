"""Machine secrets: ``asv_<kind>_<id>_<secret><crc>`` (design #6).

The secret in base 62 has at least 192 random bits, so hashing it once with SHA-256 suffices (OWASP ASVS 5.0 V6.5.2).
With the CRC-32 at the end, typing errors and junk are refused without asking the store; it is not a protection.
"""

import hashlib
import hmac
import re
import zlib
from typing import Self

from msgspec import Struct

from authsvc.redaction import Secret

PREFIX = "asv_"
ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Alphabet of ids: Crockford's base 32, lower-case; people read ids aloud."""

ID_LENGTH = 16
"""Characters of an id: 80 bits."""

ID_BYTES = 10
"""Entropy of an id, in bytes."""

SECRET_BYTES = 32
"""Entropy of a secret, in bytes."""

SECRET_LENGTH = 43
"""Base62 digits of the secret part: 256 bits."""

CRC_LENGTH = 6

LICENSE_KIND = "lic"
LICENSE_TOKEN_LENGTH = 74
"""Characters of a license's registry token."""
PERSONAL_KIND = "pat"
SERVICE_KIND = "sa"
REFRESH_KIND = "ref"
LINK_KIND = "link"
SESSION_KIND = "ses"
PAGE_KIND = "page"
"""The secret of a link to the page of a license."""

_ID = re.compile(rf"[{ID_ALPHABET}]{{{ID_LENGTH}}}", re.ASCII)
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(
    rf"asv_([a-z]{{2,4}})_([{ID_ALPHABET}]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CRC_LENGTH}}})",
    re.ASCII,
)


class MachineSecret(Struct, frozen=True):
    """A well-formed machine secret, not yet known to have been issued.

    Attributes:
        kind: of the credential, such as ``lic`` for a license registry token.
        id: of the credential.
        text: the whole secret.
    """

    kind: str
    id: str
    text: Secret

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the secret in ``text``, or None when it is malformed or the CRC is wrong."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        body, crc = text[:-CRC_LENGTH], form[4]
        return cls(form[1], form[2], Secret(text)) if crc == _crc(body) else None

    @classmethod
    def build(cls, kind: str, secret_id: str, entropy: bytes) -> Self:
        """Return the secret made of 32 bytes of ``entropy``.

        Raises:
            ValueError: ``entropy`` does not have 32 bytes.
        """
        if len(entropy) != hashlib.sha256().digest_size:
            raise ValueError("a machine secret is made of 32 bytes")
        body = f"{PREFIX}{kind}_{secret_id}_{_base62(int.from_bytes(entropy, 'big'), SECRET_LENGTH)}"
        return cls(kind, secret_id, Secret(body + _crc(body)))

    def sha256(self) -> str:
        """Return the hexadecimal SHA-256 of the whole secret, as the store keeps it."""
        return hashlib.sha256(self.text.reveal().encode("ascii")).hexdigest()

    def has_digest(self, sha256: str) -> bool:
        """Whether ``sha256`` is this secret's digest, compared in constant time."""
        return hmac.compare_digest(self.sha256(), sha256)


def derive_license_token(key: bytes, license_id: str, generation: int) -> MachineSecret:
    """Return the registry token of a license. It is derived, so that the file can be downloaded again (design #6).

    Args:
        key: the installation's license-token key, 32 bytes.
        license_id: of the license.
        generation: 1 at first; ``rotate`` raises it.
    """
    message = f"authsvc license registry token\0{license_id}\0{generation}".encode()
    return MachineSecret.build(LICENSE_KIND, license_id, hmac.digest(key, message, hashlib.sha256))


def new_id(entropy: bytes) -> str:
    """Return an id made of 10 bytes of ``entropy``.

    Raises:
        ValueError: ``entropy`` does not have 10 bytes.
    """
    if len(entropy) * 8 != ID_LENGTH * 5:
        raise ValueError("an id is made of 10 bytes")
    number = int.from_bytes(entropy, "big")
    return "".join(ID_ALPHABET[(number >> (5 * index)) & 31] for index in reversed(range(ID_LENGTH)))


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id, and so may be part of a key of the store."""
    return _ID.fullmatch(text) is not None


def _crc(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CRC_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
