"""What a request presents, told apart: a person's password, a machine's secret, or nothing usable.

A machine secret says by itself who it belongs to, so the user name beside it is ignored (design #7): people type
``license``, ``<token>``, an e-mail address or the secret again. A license file as the password is a wrapper around
the registry token in it.
"""

from attrs import frozen

from authsvc.credentials.machine_secret import PREFIX, MachineSecret
from authsvc.errors import InputRefused
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from authsvc.spec.token_request import Presented, RefreshGrant, Unreadable
from authsvc.tenancy.names import parse_email


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
    if presented is None:
        return Nothing()
    if isinstance(presented, Unreadable):
        return Junk(presented.why)
    if isinstance(presented, RefreshGrant):
        return _machine(presented.token.reveal()) or Junk("the refresh token is not one of ours")
    password = presented.password.reveal()
    if not password:
        # `docker login` sends an empty password for a bare Enter; an empty user with an empty password is nobody.
        return Junk("the password is empty")
    machine = _machine(password)
    if machine is not None:
        return machine
    try:
        return PasswordProof(parse_email(presented.username), presented.password)
    except InputRefused:
        return Junk("the user name is no e-mail address and the password no token or license file")


def _machine(text: str) -> MachineProof | Junk | None:
    """Return the machine secret in ``text``, None when it claims to be none, Junk when it is a damaged one."""
    candidate: str | None = text.strip()
    if candidate is not None and candidate.lstrip("\ufeff").startswith("{"):
        candidate = registry_token(candidate)
        if candidate is None:
            return Junk("the password begins like a license file but is none")
    elif not text.strip().startswith(PREFIX):
        return None
    secret = MachineSecret.parse(candidate) if candidate is not None else None
    return MachineProof(secret) if secret is not None else Junk("the machine secret is misspelt")
