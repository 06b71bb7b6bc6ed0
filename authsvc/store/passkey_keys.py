"""Names of keys in Redis that have to do with passkeys; see :mod:`authsvc.store.keys`."""

from authsvc.store.keys import PREFIX


def passkey(passkey_id: str) -> str:
    """Record of a passkey."""
    return f"{PREFIX}passkey:{passkey_id}"


def member_passkeys(member_id: str) -> str:
    """Sorted set of the ids of a member's passkeys, by Unix time of registration."""
    return f"{PREFIX}member-passkeys:{member_id}"


def passkey_challenge_key(day: int) -> str:
    """Key that the challenges of a day are made with."""
    return f"{PREFIX}passkey-challenge-key:{day}"


def passkey_challenge(nonce: str) -> str:
    """Mark of a challenge that was answered."""
    return f"{PREFIX}passkey-challenge:{nonce}"
