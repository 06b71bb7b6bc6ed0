"""Passkeys, with which members sign in to the portal instead of a password. Records contain no secrets."""

import hashlib
from datetime import datetime, timedelta

from attrs import frozen

MAX_PASSKEYS = 20
"""Most passkeys of one member."""

CHALLENGE_LIFE = timedelta(minutes=5)
"""Time that a browser has to answer a challenge."""


@frozen
class Passkey:
    """A public key whose private key an authenticator of the member holds.

    Attributes:
        id: derived from the id that the authenticator chose, so that no passkey has two records.
        member: id of the member.
        name: chosen by the member.
        credential: attested credential data of WebAuthn §6.5.1, base64url: the authenticator's id and the public key.
        rp_id: host name that it was made for; it works for no other.
        created_at: aware.
        sign_count: the authenticator's counter at the last sign-in; 0 of one that does not count.
        synced: whether the authenticator may copy it to other devices.
    """

    id: str
    member: str
    name: str
    credential: str
    rp_id: str
    created_at: datetime
    sign_count: int = 0
    synced: bool = False

    def counts_on(self, sign_count: int) -> bool:
        """Whether the counter of a new signature is greater than this one's: else the private key may have been copied.

        An authenticator without a counter always sends 0 (WebAuthn §6.1.1, §7.2 step 22).
        """
        return sign_count > self.sign_count or sign_count == self.sign_count == 0


@frozen
class NewCredential:
    """A checked new credential of an authenticator.

    Attributes:
        id: of the future record.
        credential: as in :class:`Passkey`.
        rp_id: as in :class:`Passkey`.
        sign_count: as in :class:`Passkey`.
        synced: as in :class:`Passkey`.
    """

    id: str
    credential: str
    rp_id: str
    sign_count: int
    synced: bool


@frozen
class PasskeyUse:
    """A passkey that was just used to sign in.

    Attributes:
        id: of the record.
        sign_count: the authenticator's counter now.
    """

    id: str
    sign_count: int


def digest_of(credential_id: bytes) -> bytes:
    """Return the 10 bytes that the id of a record is made of."""
    return hashlib.sha256(b"authsvc passkey\0" + credential_id).digest()[:10]
