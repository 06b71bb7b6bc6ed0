"""Classifies the credentials of a request: a member's password, one or several machine secrets, or nothing usable.

A machine secret identifies its account, so the user name sent with it is ignored (design #7): people enter ``license``,
``<token>``, an e-mail address or the secret itself. A license file as the password is a wrapper around the registry
token in it.

Clients keep one password per registry, so a customer with licenses for several apps joins their registry tokens with
dots: ``asv_lic_….asv_lic_…``. No machine secret contains a dot and no password may begin with ``asv_``, so such a
password cannot be confused with anything else.
"""

from typing import assert_never

from attrs import field, frozen
from msgspec import Struct

from authsvc.credentials.machine_secret import LICENSE_KIND, PREFIX, MachineSecret
from authsvc.errors import InputRefused
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from authsvc.spec.token_request import Presented, RefreshGrant, Unreadable, UserPassword
from authsvc.tenancy.names import parse_email

_AROUND = " \t\r\n\ufeff"
"""Characters that shells and editors add around a file or a token; the last one is a byte-order mark."""

_DAMAGED_MARK = "?\ufffd"
"""What Windows PowerShell makes of a byte-order mark in a pipe, and docker when the file is UTF-16."""

JOINT = "."
"""Separates the registry tokens of several licenses in one password."""

MAX_JOINED = 8
"""Most license secrets in one password, repetitions included: each costs the read of a record (design #7)."""


@frozen
class Nothing:
    """No credentials were sent."""


@frozen
class Junk:
    """Credentials that cannot belong to any account; refused without asking the store.

    Attributes:
        why: for the log.
        message: for the client instead of the usual sentence, or None.
    """

    why: str
    message: str | None = None


def _without_blanks(password: Secret) -> Secret:
    """Return the password without characters that a file or a pipe has added at its ends."""
    return Secret(password.reveal().strip())


@frozen
class PasswordProof:
    """An e-mail address and a password.

    Attributes:
        email: canonical form.
        password: as entered, without blanks and line breaks at its ends, which no password has.
    """

    email: str
    password: Secret = field(converter=_without_blanks)


class MachineProof(Struct, frozen=True):
    """A machine secret with a right CRC.

    Attributes:
        secret: the secret.
    """

    secret: MachineSecret


@frozen
class LicensesProof:
    """The secrets of several licenses, joined in one password.

    Attributes:
        secrets: different ones with a right CRC, in the order sent; at least one.
        damaged: how many more have the form of a secret, but a wrong CRC.
    """

    secrets: tuple[MachineSecret, ...]
    damaged: int = 0


Proof = Nothing | Junk | PasswordProof | MachineProof | LicensesProof


def classify(presented: Presented) -> Proof:
    """Classify ``presented``."""
    match presented:
        case None:
            return Nothing()
        case Unreadable(why):
            return Junk(why)
        case RefreshGrant(token):
            return _machine(token.reveal()) or Junk("the refresh token was not issued here")
        case UserPassword(username, password):
            return _machine(password.reveal()) or _person(username, password)
        case _:
            assert_never(presented)


def _person(username: str, password: Secret) -> PasswordProof | Junk:
    if not password:  # an LDAP server once took an empty password for an anonymous success (docker_auth#155)
        return Junk("the password is empty")
    try:
        return PasswordProof(parse_email(username), password)
    except InputRefused:
        return Junk("the user name is no e-mail address and the password no token or license file")


def _machine(text: str) -> MachineProof | LicensesProof | Junk | None:
    """Return the machine secrets in ``text``, None when it has none, Junk when they are unusable."""
    candidate = _repaired(text.strip(_AROUND))
    if candidate.startswith("{"):
        token = registry_token(candidate)
        if token is None:
            return Junk("the password begins like a license file but is none")
        candidate = token
    elif not candidate.startswith(PREFIX):
        return None
    if JOINT in candidate and candidate.startswith(PREFIX):
        return _joined(candidate.split(JOINT))
    secret = MachineSecret.parse(candidate)
    return Junk("the machine secret is misspelt") if secret is None else MachineProof(secret)


def _repaired(text: str) -> str:
    """Return a license file or token without a character or NULs (UTF-16) that a shell added."""
    if text[:1] not in _DAMAGED_MARK and "\0" not in text:
        return text
    repaired = text.replace("\0", "").lstrip(_DAMAGED_MARK).strip(_AROUND)
    is_ours = registry_token(repaired) is not None or MachineSecret.parse(repaired) is not None
    return repaired if is_ours else text


def _joined(parts: list[str]) -> MachineProof | LicensesProof | Junk:
    """Return the license secrets in ``parts``; a damaged one does not affect the others."""
    if len(parts) > MAX_JOINED:
        message = (
            f"the password joins {len(parts)} license secrets, and {MAX_JOINED} are allowed; "
            "keep only the licenses that you need"
        )
        return Junk("too many license secrets in one password", message)
    if not all(part.startswith(f"{PREFIX}{LICENSE_KIND}_") for part in parts):
        return Junk("the password joins something else than license secrets")
    found = [MachineSecret.parse(part) for part in parts]
    secrets = tuple({secret.text.reveal(): secret for secret in found if secret is not None}.values())
    damaged = found.count(None)
    if not secrets:
        return Junk("the machine secret is misspelt")
    return MachineProof(secrets[0]) if len(secrets) == 1 and not damaged else LicensesProof(secrets, damaged)
