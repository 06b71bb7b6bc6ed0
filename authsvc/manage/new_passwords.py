"""New passwords of members: checked, hashed and counted in the same way for every account.

Estimating the strength of a password and hashing it occupies a core for some tenths of a second. The holder of a valid
one-time link or session could cause that any number of times, since a refused password does not use the link up; so the
attempts are counted.
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
    """Checks and hashes a new password, without blocking other requests."""

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
        hasher: checks and hashes it.
        operation: the circumstances; attempts of the operator are not counted.

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
    """Check the part of the rules for passwords that does not depend on the account.

    Raises:
        InputRefused: it is too short, or too long.
    """
    check_length(text)
