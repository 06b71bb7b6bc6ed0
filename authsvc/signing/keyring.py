"""The current leaf of one worker, and when its renewal is due."""

from datetime import datetime, timedelta
from typing import Any

from authsvc.errors import SignerUnavailable
from authsvc.signing.jws import Leaf

WARN_BEFORE = timedelta(days=7)
WARN_SHARE = 0.4
"""Part of its lifetime with which a leaf counts as ending; renewal is due when half is left."""


class Keyring:
    """Holds the newest leaf. It is replaced atomically, so a request signs with either the old one or the new one."""

    def __init__(self) -> None:
        """Start without a leaf: :meth:`sign` raises until the first one is installed."""
        self._leaf: Leaf | None = None

    def install(self, leaf: Leaf) -> None:
        """Sign with ``leaf`` from now on."""
        self._leaf = leaf

    @property
    def not_after(self) -> datetime | None:
        """The end of the current leaf, or None when there is none yet."""
        return self._leaf.not_after if self._leaf else None

    def ready(self, now: datetime) -> bool:
        """Whether a token signed now would have a valid certificate."""
        return self._leaf is not None and now < self._leaf.not_after

    def ending(self, now: datetime) -> bool:
        """Whether the leaf should have been replaced by now: a week before its end, or later if its life is short."""
        if self._leaf is None:
            return False
        life = self._leaf.not_after - self._leaf.certificate.not_valid_before_utc
        return now >= self._leaf.not_after - min(WARN_BEFORE, life * WARN_SHARE)

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``.

        Raises:
            SignerUnavailable: there is no leaf, or it ends before the token.
        """
        if self._leaf is None:
            raise SignerUnavailable("this process has no signing certificate yet; try again in a few seconds")
        return self._leaf.sign(claims)
