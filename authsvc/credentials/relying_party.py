"""WebAuthn for one relying party, the host of the public URL: makes the requests to browsers and checks the answers.

The fido2 library parses answers and checks them as WebAuthn Level 3 §7.1 and §7.2 require; this module does the steps
that the library leaves to its caller: the exact origin, frames of other sites, the algorithm, the backup flags, the
user handle.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from authsvc.credentials.machine_secret import new_id
from authsvc.credentials.passkey_challenge import refused
from authsvc.tenancy.passkey import NewCredential, Passkey, digest_of
from authsvc.tenancy.records import Member

MAX_ANSWER = 16_384
"""Most characters of a browser's answer."""

MAX_CREDENTIAL = 2_048
"""Most bytes of the authenticator's id and the public key together; an id has at most 1,023."""

ES256, EDDSA, RS256 = -7, -8, -257
ALGORITHMS = (ES256, EDDSA, RS256)
"""Algorithms that we verify (COSE): nearly all authenticators use ES256, Windows Hello uses RS256."""

_ALG = 3
"""Label of the algorithm in a COSE key."""

T = TypeVar("T")


@frozen
class Assertion:
    """A browser's answer to a challenge, parsed but not checked.

    Attributes:
        passkey_id: id of the record of the passkey that it names.
        challenge: that it answers.
        answer: the whole of it.
    """

    passkey_id: str
    challenge: bytes
    answer: AuthenticationResponse = field(repr=False)


@frozen
class Attestation:
    """A new passkey as a browser sent it, parsed but not checked.

    Attributes:
        challenge: that it answers.
        answer: the whole of it.
    """

    challenge: bytes
    answer: RegistrationResponse = field(repr=False)


@frozen
class RelyingParty:
    """The host that passkeys are made for.

    Attributes:
        id: the host name.
        origin: of the pages.
    """

    id: str
    origin: str

    def creation_options(self, member: Member, known: Iterable[Passkey], challenge: bytes) -> str:
        """Return the options for ``navigator.credentials.create``, as JSON.

        Args:
            member: the future owner of the passkey.
            known: passkeys of the member; an authenticator that has one of them does not make another.
            challenge: to be signed.
        """
        user = PublicKeyCredentialUserEntity(id=member.id.encode(), name=member.email, display_name=member.email)
        options, _ = self._server().register_begin(
            user,
            _descriptors(known),
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
            challenge=challenge,
        )
        return json.dumps(dict(options)["publicKey"])

    def request_options(self, challenge: bytes, known: Iterable[Passkey]) -> str:
        """Return the options for ``navigator.credentials.get`` with one of ``known``, as JSON."""
        options, _ = self._server().authenticate_begin(
            _descriptors(known), UserVerificationRequirement.REQUIRED, challenge=challenge
        )
        return json.dumps(dict(options)["publicKey"])

    def read_attestation(self, text: str) -> Attestation:
        """Return a browser's answer to :meth:`creation_options`.

        Raises:
            CredentialsRefused: it is not one.
        """
        answer = _checked(lambda: RegistrationResponse.from_dict(_object(text)))
        return Attestation(answer.response.client_data.challenge, answer)

    def read_assertion(self, text: str) -> Assertion:
        """Return a browser's answer to :meth:`request_options`.

        Raises:
            CredentialsRefused: it is not one.
        """
        answer = _checked(lambda: AuthenticationResponse.from_dict(_object(text)))
        return Assertion(new_id(digest_of(answer.raw_id)), answer.response.client_data.challenge, answer)

    def registered(self, attestation: Attestation) -> NewCredential:
        """Return the new credential of an authenticator. The caller must check that the challenge is ours.

        Raises:
            CredentialsRefused: the answer is invalid.
        """
        data = _checked(lambda: self._server().register_complete(_state(attestation.challenge), attestation.answer))
        self._check_frame(attestation.answer.response.client_data)
        credential = data.credential_data
        if credential is None or len(credential) > MAX_CREDENTIAL:
            raise refused("no credential, or one that is too long")
        if credential.credential_id != attestation.answer.raw_id:
            raise refused("two ids of the credential")
        if credential.public_key.get(_ALG) not in ALGORITHMS:
            raise refused("another algorithm")
        passkey_id = new_id(digest_of(credential.credential_id))
        return NewCredential(passkey_id, websafe_encode(credential), self.id, data.counter, _backup_eligible(data))

    def verified(self, assertion: Assertion, passkey: Passkey) -> int:
        """Return the counter of a signature by ``passkey``. The caller must check that the challenge is ours.

        Raises:
            CredentialsRefused: the answer is invalid.
        """
        response = assertion.answer.response
        stored = AttestedCredentialData(websafe_decode(passkey.credential))
        _checked(lambda: self._server().authenticate_complete(_state(assertion.challenge), [stored], assertion.answer))
        self._check_frame(response.client_data)
        if response.user_handle is not None and response.user_handle != passkey.member.encode():
            raise refused("the user handle of another member")
        if _backup_eligible(response.authenticator_data) is not passkey.synced:
            raise refused("another backup eligibility")
        return response.authenticator_data.counter

    def _server(self) -> Fido2Server:
        server = Fido2Server(
            PublicKeyCredentialRpEntity(id=self.id, name=self.id),
            attestation=AttestationConveyancePreference.NONE,
            verify_origin=lambda origin: origin == self.origin,
        )
        server.allowed_algorithms = [
            PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=alg) for alg in ALGORITHMS
        ]
        return server

    @staticmethod
    def _check_frame(client_data: CollectedClientData) -> None:
        """Refuse answers that were signed in a frame of another site (WebAuthn §7.1 step 10, §7.2 step 14)."""
        sent = json.loads(bytes(client_data))
        if sent.get("crossOrigin", False) is not False or "topOrigin" in sent:
            raise refused("signed in a frame of another site")


def _backup_eligible(data: AuthenticatorData) -> bool:
    """Return whether a passkey may be copied.

    Raises:
        CredentialsRefused: it is flagged as backed up, but not as eligible for backup (WebAuthn §7.2 step 19).
    """
    if data.is_backed_up() and not data.is_backup_eligible():
        raise refused("backed up without being eligible")
    return data.is_backup_eligible()


def _descriptors(known: Iterable[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    credentials = (AttestedCredentialData(websafe_decode(one.credential)) for one in known)
    return [
        PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=one.credential_id)
        for one in credentials
    ]


def _state(challenge: bytes) -> dict[str, Any]:
    """Return the state that the library compares an answer with."""
    return {"challenge": websafe_encode(challenge), "user_verification": UserVerificationRequirement.REQUIRED}


def _object(text: str) -> dict[str, Any]:
    if len(text) > MAX_ANSWER:
        raise ValueError("too long")
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _checked(work: Callable[[], T]) -> T:
    """Return the result of ``work``; on malformed answers the library raises nearly any exception.

    Raises:
        CredentialsRefused: it failed.
    """
    try:
        return work()
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError) as error:
        raise refused(repr(error)[:200]) from error
    except (TypeError, ValueError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise refused(repr(error)[:200]) from error
