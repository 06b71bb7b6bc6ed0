"""Passwords of members: the rules and the hash (design #5).

Argon2id with the minimum parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane. Checking one
costs tens of milliseconds of one core, which is why :mod:`authsvc.credentials.verifier` limits and caches the checks.
"""

from collections.abc import Iterable

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from authsvc.credentials.machine_secret import PREFIX
from authsvc.credentials.password_strength import estimated_guesses
from authsvc.errors import InputRefused
from authsvc.redaction import Secret

MIN_BYTES, MAX_BYTES = 15, 1024
"""Shortest and longest password in bytes of UTF-8; 15 because it is the only factor (NIST SP 800-63B-4 §3.1.1.2)."""

MIN_GUESSES = 1e8
"""Fewest guesses that a password must require, as estimated by zxcvbn. The throttle admits 100 guesses per account at
first, and one per minute after that: 50,000 a year."""

MEMORY_KIB, PASSES, LANES, DIGEST_BYTES, SALT_BYTES = 19456, 2, 1, 32, 16

UNKNOWN_ACCOUNT = Secret(
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash that no password has, with the same cost: an unknown account must take as long as a wrong password."""


def check_rules(password: Secret, names: Iterable[str]) -> None:
    """Accept ``password`` for a new or changed account.

    Args:
        password: as typed.
        names: texts about the person that others may know: the e-mail address, names of the team and its apps.

    Raises:
        InputRefused: too short, too long, too easy to guess, or it begins like a token or a license file and could
            never be used to log in.
    """
    text = password.reveal()
    check_length(text)
    if text.startswith((PREFIX, "{")) or text != text.strip():
        raise InputRefused(
            f"a password must not begin with {PREFIX!r} or '{{', nor begin or end with a blank",
            code="password_characters",
            field="password",
        )
    if not text.isprintable():
        raise InputRefused(
            "a password must not hold control characters, such as a tab or a line break",
            code="password_characters",
            field="password",
        )
    if estimated_guesses(text, names) < MIN_GUESSES:
        raise InputRefused(
            "this password is too easy to guess; use three or more words that do not belong together, or let a "
            "password manager make one; your name, your team, its apps, repetitions and rows of keys count for little",
            code="password_too_weak",
            field="password",
        )


def check_length(text: str) -> None:
    """Check the length of a password, which needs no estimate.

    Raises:
        InputRefused: too short, or too long.
    """
    length = len(text.encode("utf-8", "surrogatepass"))
    if not MIN_BYTES <= length <= MAX_BYTES:
        raise InputRefused(
            f"a password has {MIN_BYTES} to {MAX_BYTES:,} bytes; this one has {length:,}",
            code="password_length",
            field="password",
        )


def hash_password(password: Secret, *, salt: bytes) -> Secret:
    """Return the Argon2id hash of ``password`` in PHC form.

    Args:
        password: one that :func:`check_rules` accepts.
        salt: 16 random bytes.
    """
    kdf = Argon2id(salt=salt, length=DIGEST_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return Secret(kdf.derive_phc_encoded(password.reveal().encode()))


def hash_new_password(password: Secret, names: Iterable[str], salt: bytes) -> Secret:
    """Return the hash of a password for a new or changed account. Blocks one core for some tenths of a second.

    Two calls must not run at once in different threads (:mod:`authsvc.credentials.password_strength`).

    Raises:
        InputRefused: as :func:`check_rules`.
    """
    check_rules(password, names)
    return hash_password(password, salt=salt)


def verify_password(password: Secret, password_hash: Secret) -> bool:
    """Whether ``password_hash`` is that of ``password``. Blocks one core for tens of milliseconds."""
    try:
        Argon2id.verify_phc_encoded(password.reveal().encode("utf-8", "surrogatepass"), password_hash.reveal())
    except InvalidKey:
        return False
    return True
