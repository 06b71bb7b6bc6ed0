"""Compares a secret in a request with its SHA-256, which is all that a worker has."""

import hmac
from collections.abc import Sequence
from hashlib import sha256


def is_known(shown: str, hashes: Sequence[bytes]) -> bool:
    """Return whether a secret has one of the SHA-256 hashes; the duration does not depend on them."""
    presented = sha256(shown.encode("utf-8", "surrogateescape")).digest()
    found = [hmac.compare_digest(presented, known) for known in hashes]
    return any(found)
