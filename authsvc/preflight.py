"""Will tonight's install work? What a credential may pull, whether it is there, and what is about to end.

The same steps as a token request (:mod:`authsvc.issuance`), but the answer is for people: for each image a verdict
with its reason. Whether an image exists is told only to those who may pull it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import evolve, field, frozen

from authsvc.credentials.origin import Origin
from authsvc.credentials.proof import MachineProof, Proof, classify
from authsvc.credentials.subject import LicenseSubject, Subject
from authsvc.errors import InputRefused
from authsvc.issuance import ISSUER, Authenticates, Denied
from authsvc.license_file import in_words
from authsvc.policy import PULL, REPOSITORY, day, decide, locate, namespaces
from authsvc.redaction import Secret
from authsvc.signing.jws import Signer
from authsvc.spec.claims import Access, Claims
from authsvc.spec.reference import Reference
from authsvc.spec.scope import ResourceScope
from authsvc.spec.token_request import Presented

MAX_IMAGES = 50
"""Most images in one request."""

SUBJECT = "system:authsvc"
"""The ``sub`` of the tokens that the server signs for itself."""

TOKEN_LIFE = timedelta(minutes=1)
"""How long such a token lives."""

AT_ONCE = 8
"""Most questions to the registry at one time, over all requests of a worker."""

SOON = timedelta(days=30)
"""Before its end a license is said to end soon."""

_HTTPS_PORT = ":443"


@frozen
class Found:
    """What the registry says of an image.

    Attributes:
        exists: False when it is not there, None when the registry gave no answer.
        digest: of the manifest, or of the index when the image has several platforms.
        size: bytes to download: configuration and layers; of one platform when there are several.
        platform: the platform of ``size``, or None when there is only one.
    """

    exists: bool | None
    digest: str | None = None
    size: int | None = None
    platform: str | None = None


@frozen
class Verdict:
    """What would happen to a pull of one image.

    Attributes:
        image: as it was asked.
        ok: whether it would be pulled; None when that can not be told.
        may_pull: whether the credential covers it.
        found: what the registry says, when it was asked.
        reason: a sentence when not all is well, or None.
    """

    image: str
    ok: bool | None
    may_pull: bool
    found: Found = Found(None)
    reason: str | None = None


@frozen
class Warned:
    """Something that will stop working.

    Attributes:
        code: ``license-ends`` or ``token-ends``.
        message: a sentence for people.
        at: when.
    """

    code: str
    message: str
    at: datetime


@frozen
class Report:
    """The answer.

    Attributes:
        subject: who asked.
        verdicts: one for each image, in the order asked.
        token_ends_at: when the license's token that was shown stops working before the license does, or None.
        warnings: what is about to end.
    """

    subject: Subject
    verdicts: tuple[Verdict, ...] = ()
    token_ends_at: datetime | None = None
    warnings: tuple[Warned, ...] = ()


class Looks(Protocol):
    """Whoever knows what our registry holds."""

    async def look(self, repository: str, reference: str, token: Secret) -> Found:
        """Return what is there under a tag or digest."""
        ...


@frozen
class Preflight:
    """Answers preflights of one service.

    Attributes:
        authenticator: proves who asks.
        registry: ours.
        signer: signs the tokens with which our own server asks it.
        service: the registry's name.
        new_token_id: makes the ids of those tokens.
    """

    authenticator: Authenticates
    registry: Looks
    signer: Signer
    service: str
    new_token_id: Callable[[], str]
    _gate: asyncio.Semaphore = field(init=False, factory=lambda: asyncio.Semaphore(AT_ONCE), eq=False)

    async def check(self, presented: Presented, images: Sequence[str], origin: Origin, now: datetime) -> Report:
        """Return what would happen to a pull of each of ``images``.

        Raises:
            InputRefused: too many images, or one that is none.
            CredentialsRefused: identity was not proven.
            AccountDenied: identity is proven and the account may not be used now.
            Throttled: a wrong secret, one time too many.
            StoreUnavailable: the store did not answer.
            SignerUnavailable: there is no living signing certificate.
        """
        # 1. Which repositories of ours that is about.
        references = [_parse(image) for image in _at_most(images)]
        ours = [reference if self._is_ours(reference) else None for reference in references]
        scopes = {one.path: ResourceScope(REPOSITORY, one.path, (PULL,)) for one in ours if one is not None}
        # 2. Who asks.
        proof = classify(presented)
        subject = await self.authenticator.authenticate(proof, namespaces(scopes.values()), origin, now)
        # 3. What they may pull.
        decision = decide(subject, scopes.values(), now)
        if decision.account is not None:
            raise Denied(decision.account, subject)
        granted = {entry.name for entry in decision.access if PULL in entry.actions}
        reasons = {refusal.scope: refusal.reason for refusal in decision.refusals}
        # 4. Whether it is there.
        verdicts = await asyncio.gather(
            *(
                self._verdict(image, reference, granted, _refusal(subject, reasons, scopes, reference), now)
                for image, reference in zip(images, ours, strict=True)
            )
        )
        # 5. What is about to end.
        token_ends_at = _token_end(subject, proof)
        warnings = _warnings(subject, token_ends_at, now)
        return Report(subject, tuple(verdicts), token_ends_at, warnings)

    def _is_ours(self, reference: Reference) -> bool:
        # Clients leave out the port of https, or write it (protocol notes C1).
        return reference.domain.lower().removesuffix(_HTTPS_PORT) == self.service.lower().removesuffix(_HTTPS_PORT)

    async def _verdict(
        self, image: str, reference: Reference | None, granted: set[str], refusal: str, now: datetime
    ) -> Verdict:
        if reference is None:
            return Verdict(image, ok=None, may_pull=False, reason=f"it is not an image of {self.service}")
        if reference.path not in granted:
            return Verdict(image, ok=False, may_pull=False, reason=refusal)
        place = locate(reference.path)
        if place is not None and place.upstream is not None:
            return Verdict(image, ok=None, may_pull=True, reason=f"it is pulled through from {place.upstream}")
        async with self._gate:
            wanted = reference.digest or reference.tag or ""
            found = await self.registry.look(reference.path, wanted, self._token(reference.path, now))
        verdict = Verdict(image, ok=found.exists is True, may_pull=True, found=found)
        if found.exists is None:
            return evolve(verdict, reason="the registry did not answer; try again")
        return verdict if found.exists else evolve(verdict, reason="there is no such image")

    def _token(self, repository: str, now: datetime) -> Secret:
        """Return a token of our own for pulling exactly ``repository``."""
        claims = Claims(
            issuer=ISSUER,
            subject=SUBJECT,
            audience=self.service,
            issued_at=now,
            expires_at=now + TOKEN_LIFE,
            token_id=self.new_token_id(),
            access=(Access(REPOSITORY, repository, (PULL,)),),
        )
        return Secret(self.signer.sign(claims.to_json()))


def _at_most(images: Sequence[str]) -> Sequence[str]:
    if len(images) > MAX_IMAGES:
        raise InputRefused(f"a preflight looks at {MAX_IMAGES} images at most, and this one names {len(images)}")
    return images


def _parse(image: str) -> Reference:
    try:
        return Reference.parse(image)
    except ValueError as error:
        raise InputRefused(f"{image[:200]!r} is no image: {error}") from error


def _refusal(
    subject: Subject, reasons: dict[str, str], scopes: dict[str, ResourceScope], reference: Reference | None
) -> str:
    """Return why an image is refused. What a license says its holder knows; of other apps nobody learns anything."""
    if not isinstance(subject, LicenseSubject):
        return "your account does not cover this repository"
    reason = reasons.get(str(scopes[reference.path])) if reference is not None else None
    return f"{reason or 'the license does not cover this repository'}; {_ask(subject)}"


def _token_end(subject: Subject, proof: Proof) -> datetime | None:
    """Return when the registry token that was shown ends before its license does."""
    if not isinstance(subject, LicenseSubject) or not isinstance(proof, MachineProof):
        return None
    shown = (token for token in subject.license.tokens if proof.secret.has_digest(token.sha256))
    return next((token.ends_at for token in shown), None)


def _warnings(subject: Subject, token_ends_at: datetime | None, now: datetime) -> tuple[Warned, ...]:
    if not isinstance(subject, LicenseSubject):
        return ()
    warnings = []
    if token_ends_at is not None:
        left = in_words((token_ends_at - now).total_seconds())
        text = f"this file's token ends in {left}; a newer file exists; {_ask(subject)} for it"
        warnings.append(Warned("token-ends", text, token_ends_at))
    end = subject.license.expires_at
    if end - now <= SOON:
        left = in_words((end - now).total_seconds())
        warnings.append(Warned("license-ends", f"the license ends in {left}, on {day(end)}; {_ask(subject)}", end))
    return tuple(warnings)


def _ask(subject: LicenseSubject) -> str:
    contact = subject.license.contact
    return f"contact {contact}" if contact else "ask the vendor"
