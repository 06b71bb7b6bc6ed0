"""Challenges for passkeys: made with a key that all replicas share, and not stored until they are answered.

Anyone may open the sign-in form any number of times, so a challenge must cost no memory. It contains the time, a random
number, and an HMAC over both, over its purpose and over the browser. The random number of an answered challenge is
stored for the lifetime of the challenge, so that it cannot be answered twice.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from attrs import frozen

from authsvc.errors import CredentialsRefused
from authsvc.tenancy.passkey import CHALLENGE_LIFE

REFUSED = "this passkey was not accepted; try again, or use your password"

NONCE_BYTES = 16
KEY_BYTES = 32

MAX_SKEW = timedelta(minutes=1)
"""Greatest difference between the clocks of two replicas."""

_TIME_BYTES = 5
_HEAD_BYTES = _TIME_BYTES + NONCE_BYTES
_TAG_BYTES = 32
_DAY = 86_400


class ChallengePurpose(StrEnum):
    """What the answer to a challenge permits."""

    SIGN_IN = "sign in"
    CONFIRM = "confirm"
    REGISTER = "register"


def refused(detail: str) -> CredentialsRefused:
    """Return the error for a refused passkey: the same sentence for every reason."""
    return CredentialsRefused(REFUSED, detail=f"passkey: {detail}")


@frozen
class PasskeyChallenge:
    """A challenge as it was sent or received; not yet known to be one of ours.

    Attributes:
        issued_at: aware; whole seconds.
        nonce: random.
        tag: the HMAC.
    """

    issued_at: datetime
    nonce: bytes
    tag: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Return the challenge in ``raw``; None when it is malformed."""
        if len(raw) != _HEAD_BYTES + _TAG_BYTES:
            return None
        seconds = int.from_bytes(raw[:_TIME_BYTES], "big")
        return cls(_instant(seconds), raw[_TIME_BYTES:_HEAD_BYTES], raw[_HEAD_BYTES:])

    @classmethod
    def make(cls, key: bytes, purpose: ChallengePurpose, browser: str, now: datetime, nonce: bytes) -> Self:
        """Return a new challenge.

        Args:
            key: that of the day (:func:`day_of`).
            purpose: what the answer permits.
            browser: identifies the cookie of the browser.
            now: the current time.
            nonce: random bytes.
        """
        issued_at = _instant(int(now.timestamp()))
        return cls(issued_at, nonce, _tag(key, purpose, browser, issued_at, nonce))

    @property
    def raw(self) -> bytes:
        """The bytes that the authenticator signs."""
        return _seconds(self.issued_at) + self.nonce + self.tag

    def is_ours(self, key: bytes, purpose: ChallengePurpose, browser: str) -> bool:
        """Whether this installation made it, for this purpose and browser; compared in constant time."""
        return hmac.compare_digest(self.tag, _tag(key, purpose, browser, self.issued_at, self.nonce))

    def in_time(self, now: datetime) -> bool:
        """Whether it may still be answered."""
        return -MAX_SKEW <= now - self.issued_at < CHALLENGE_LIFE


def day_of(at: datetime) -> int:
    """Return the number of the day (UTC) whose key a challenge is made with."""
    return int(at.timestamp()) // _DAY


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(min(seconds, 2**35), UTC)


def _seconds(at: datetime) -> bytes:
    return int(at.timestamp()).to_bytes(_TIME_BYTES, "big")


def _tag(key: bytes, purpose: ChallengePurpose, browser: str, issued_at: datetime, nonce: bytes) -> bytes:
    message = b"\0".join(
        (b"authsvc passkey challenge", purpose.encode(), browser.encode(), _seconds(issued_at) + nonce)
    )
    return hmac.digest(key, message, hashlib.sha256)
