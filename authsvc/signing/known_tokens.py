"""Caches verified registry tokens: a client sends the same one for every blob of an image.

Signature and chain depend only on the token and the roots, so they are checked once. Times and grants are checked on
every request.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from cryptography import x509

from authsvc.signing.registry_token import RegistryToken, verify

MAX_TOKENS = 512
"""Most tokens in the cache, at about 1 KiB each."""


class KnownTokens:
    """Verifies tokens of one service, with the rules of :func:`authsvc.signing.registry_token.verify`."""

    def __init__(self, issuer: str, service: str) -> None:
        """Accept tokens with this ``iss`` and ``aud``."""
        self._issuer = issuer
        self._service = service
        self._roots: tuple[x509.Certificate, ...] = ()
        self._verified: OrderedDict[bytes, RegistryToken] = OrderedDict()

    def verify(self, token: str, roots: Sequence[x509.Certificate], now: datetime) -> RegistryToken:
        """Return the verified ``token``.

        Args:
            token: a compact JWS.
            roots: certificates of the token roots that are trusted now; a change of them empties the cache.
            now: the request's one reading of the clock.

        Raises:
            TokenRefused: a rule is broken.
        """
        if self._roots != tuple(roots):
            self._verified.clear()
            self._roots = tuple(roots)
        name = sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = self._verified.get(name)
        if found is None or not found.begins <= now.timestamp() <= found.ends:
            found = verify(token, roots, issuer=self._issuer, service=self._service, now=now)
            self._verified[name] = found
        self._verified.move_to_end(name)
        while len(self._verified) > MAX_TOKENS:
            self._verified.popitem(last=False)
        return found
