"""Passwords that people choose: checked, hashed and counted in one way for every account.

Judging how hard a password is to guess and hashing it take a core for some tenths of a second. A valid one-time link
or a session may ask for that again and again, since a refused password uses no link up; so the attempts are counted.
"""

from collections.abc import Collection
from typing import Protocol

from authsvc.credentials.password import SALT_BYTES, check_length
from authsvc.credentials.throttled_passwords import throttled
from authsvc.manage.lookup import names_around
from authsvc.manage.operation import Operation
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret


class PasswordHasher(Protocol):
    """Judges and hashes a new password, without holding anybody else up."""

    async def hash(self, password: Secret, names: Collection[str], salt: bytes) -> Secret:
        """Return the hash of an acceptable password."""
        ...


async def hashed_for(
    account: str, password: Secret, email: str, team: str, stores: Stores, hasher: PasswordHasher, operation: Operation
) -> Secret:
    """Return the hash of a password for an account.

    Args:
        account: id of the member or link that the attempts are counted for.
        password: as typed.
        email: of the person, canonical.
        team: slug.
        stores: the records.
        hasher: does the work.
        operation: the circumstances; what the operator tries is not counted.

    Raises:
        InputRefused: the password is not acceptable.
        Throttled: too many were tried for this account.
        Overloaded: too many new passwords wait to be hashed.
        StoreUnavailable: the store does not answer.
    """
    if not operation.actor.is_operator:
        over = await stores.password_choices.count(account, operation.now)
        if over > 0:
            raise throttled(over, "new passwords were tried for this account", f"{account}, not evaluated")
    names = await names_around(stores, email, team)
    return await hasher.hash(password, names, operation.entropy(SALT_BYTES))


def check_typed(text: str) -> None:
    """Check what can be said of a password before anything is known of its account.

    Raises:
        InputRefused: it is too short, or too long.
    """
    check_length(text)
