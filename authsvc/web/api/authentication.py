"""Authenticates requests to the management API: makes an actor from a bearer token (design #12).

Only personal tokens and service-account tokens that were created with API access are accepted. Passwords, refresh
tokens, license tokens and registry tokens are refused without being looked up.
"""

from datetime import datetime
from typing import Protocol

from aiohttp import web
from attrs import frozen

from authsvc.client import Client
from authsvc.credentials.machine_secret import PERSONAL_KIND, SERVICE_KIND, MachineSecret
from authsvc.credentials.proof import MachineProof, Proof
from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject, Subject
from authsvc.errors import CredentialsRefused, WrongSecret
from authsvc.issuance import decided
from authsvc.manage.actor import Actor
from authsvc.tenancy.machine_records import PersonalToken

SCHEME = "bearer"

SIGN_IN = "send a personal or service-account token with API access as 'Authorization: Bearer asv_…'"
UNKNOWN = "this token is not valid: it is misspelt, unknown or was replaced; check it, or create a new one"
NO_ACCESS = "this token is for the registry only; create one with API access 'read' or 'manage'"


class BearerAuthenticator(Protocol):
    """Authenticates the caller."""

    async def authenticate(self, proof: Proof, namespaces: tuple[str, ...], client: Client, now: datetime) -> Subject:
        """Return the proven subject."""
        ...


@frozen
class RequestActor:
    """The caller of a request.

    Attributes:
        actor: with its rights.
        subject: the proven identity, with the credential that proved it.
    """

    actor: Actor
    subject: MemberSubject | ServiceAccountSubject


@frozen(eq=False, repr=False)
class ApiAuthentication:
    """Turns the credentials of a request into an actor.

    Attributes:
        authenticator: shared with the token endpoint, so that unknown tokens are counted.
    """

    authenticator: BearerAuthenticator

    async def caller(self, request: web.Request, client: Client, now: datetime) -> RequestActor:
        """Return the caller according to the current records.

        Raises:
            CredentialsRefused: there is no such token, or it is not one for this API.
            AccountDenied: the account or the token is disabled, revoked or expired.
            Throttled: too many unknown tokens came from this network.
            StoreUnavailable: the store did not answer.
        """
        proof = MachineProof(bearer_secret(request.headers.getall("Authorization", [])))
        try:
            subject = await self.authenticator.authenticate(proof, (), client, now)
        except WrongSecret as error:
            raise WrongSecret(UNKNOWN, detail=error.detail) from None
        decided(subject, (), now)
        match subject:
            case MemberSubject(member, by=PersonalToken() as token) if token.api is not None:
                return RequestActor(Actor.of_personal_token(token, member, now), subject)
            case ServiceAccountSubject(account, creator=creator) if account.api is not None:
                return RequestActor(Actor.of_service_account(account, creator, now), subject)
            case _:
                raise CredentialsRefused(NO_ACCESS, detail=f"{subject.id} without API access")


def bearer_secret(headers: list[str]) -> MachineSecret:
    """Return the one machine secret in the headers ``Authorization`` (RFC 6750 §2.1).

    Raises:
        CredentialsRefused: there is none, there are several, or it is of a kind that this API does not accept.
    """
    if len(headers) != 1:
        raise CredentialsRefused(SIGN_IN, detail=f"headers Authorization: {len(headers)}")
    scheme, _, text = headers[0].partition(" ")
    secret = MachineSecret.parse(text.strip(" ")) if scheme.lower() == SCHEME else None
    if secret is None:
        raise CredentialsRefused(SIGN_IN, detail="no bearer token of ours")
    if secret.kind not in {PERSONAL_KIND, SERVICE_KIND}:
        raise CredentialsRefused(SIGN_IN, detail=f"a secret of kind {secret.kind!r}")
    return secret
