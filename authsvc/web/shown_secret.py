"""Comparing a secret that a request shows with what a worker knows of it, which is no more than its SHA-256."""

import hmac
from collections.abc import Sequence
from hashlib import sha256


def is_known(shown: str, hashes: Sequence[bytes]) -> bool:
    """Return whether what was shown has one of the SHA-256 hashes; how long that takes says nothing about them."""
    presented = sha256(shown.encode("utf-8", "surrogateescape")).digest()
    found = [hmac.compare_digest(presented, known) for known in hashes]
    return any(found)
