"""What a request presents, told apart: a person's password, a machine's secret, or nothing usable.

A machine secret says by itself who it belongs to, so the user name beside it is ignored (design #7): people type
``license``, ``<token>``, an e-mail address or the secret again. A license file as the password is a wrapper around
the registry token in it.
"""

from typing import assert_never

from attrs import frozen

from authsvc.credentials.machine_secret import PREFIX, MachineSecret
from authsvc.errors import InputRefused
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from authsvc.spec.token_request import Presented, RefreshGrant, Unreadable, UserPassword
from authsvc.tenancy.names import parse_email

_AROUND = " \t\r\n\ufeff"
"""What shells and editors put around a file or a token; the last one is a byte-order mark."""


@frozen
class Nothing:
    """No credentials were sent."""


@frozen
class Junk:
    """Credentials that can belong to nobody; refused without asking the store.

    Attributes:
        why: for the log.
    """

    why: str


@frozen
class PasswordProof:
    """An e-mail address and a password.

    Attributes:
        email: canonical form.
        password: as typed.
    """

    email: str
    password: Secret


@frozen
class MachineProof:
    """A machine secret with a right CRC.

    Attributes:
        secret: the secret.
    """

    secret: MachineSecret


Proof = Nothing | Junk | PasswordProof | MachineProof


def classify(presented: Presented) -> Proof:
    """Return what ``presented`` claims to prove."""
    match presented:
        case None:
            return Nothing()
        case Unreadable(why):
            return Junk(why)
        case RefreshGrant(token):
            return _machine(token.reveal()) or Junk("the refresh token is not one of ours")
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


def _machine(text: str) -> MachineProof | Junk | None:
    """Return the machine secret in ``text``, None when it claims to be none, Junk when it is a damaged one."""
    candidate = text.strip(_AROUND)
    if candidate.startswith("{"):
        token = registry_token(candidate)
        if token is None:
            return Junk("the password begins like a license file but is none")
        candidate = token
    elif not candidate.startswith(PREFIX):
        return None
    secret = MachineSecret.parse(candidate)
    return Junk("the machine secret is misspelt") if secret is None else MachineProof(secret)
