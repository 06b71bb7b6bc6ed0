"""The preflight of an installation: what a credential may pull, whether the images exist, and what is about to end.

It takes the same steps as a token request (:mod:`authsvc.issuance`), but answers people: each image gets a verdict with
a reason. Only a caller who may pull an image is told whether it exists.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from attrs import evolve, field, frozen

from authsvc.client import Client
from authsvc.credentials.machine_secret import REFRESH_KIND, MachineSecret
from authsvc.credentials.proof import LicensesProof, MachineProof, Proof, classify
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, MemberSubject, ServiceAccountSubject, Subject
from authsvc.decision import PULL, Reason, RefusalReason
from authsvc.errors import STORE_AWAY, CredentialsRefused, InputRefused
from authsvc.fair_share import FairShare
from authsvc.in_flight import InFlight
from authsvc.issuance import RequestAuthenticator, decided
from authsvc.license_file import in_words
from authsvc.policy import REPOSITORY, decide, locate, namespaces
from authsvc.redaction import Secret
from authsvc.refusal_sentences import ask_vendor, day, denial_sentence, reason_sentence
from authsvc.spec.reference import Reference
from authsvc.spec.scope import ResourceScope
from authsvc.spec.token_request import Presented
from authsvc.system_token import SystemTokens
from authsvc.tenancy.records import License

MAX_IMAGES = 50
"""Most images in one request."""

AT_ONCE = 8
"""Most simultaneous requests to the registry, over all preflights of a worker."""

PER_TEAM = 4
"""Most of them for one team, so that other teams still find a free place or take turns."""

MAX_WAITING = 1000
"""Most waiting requests of one team: those of twenty full preflights."""

TOO_MANY = "too many preflights of your team are running; try again in a few seconds"

LOOKUP_DEADLINE = 20.0
"""Seconds for the registry to answer for an image, waiting included: nginx allows a preflight 30 seconds."""

SOON = timedelta(days=30)
"""How long before its end a license gets a warning."""

REFRESH_REFUSED = "a refresh token is for pulls and pushes alone; use your password, a token or a license file here"

_HTTPS_PORT = ":443"


@frozen
class FoundManifest:
    """What the registry reports about an image.

    Attributes:
        exists: False when it does not exist, None when the registry gave no answer.
        digest: of the manifest, or of the index when the image has several platforms.
        size: bytes to download, configuration and layers; for one platform when there are several.
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
        image: as the caller wrote it.
        ok: whether it would be pulled; None when that is unknown.
        may_pull: whether the credential may pull it.
        found: what the registry reports, if it was asked.
        reason: a sentence when the image would not be pulled, or that is unknown; else None.
    """

    image: str
    ok: bool | None
    may_pull: bool
    found: FoundManifest = FoundManifest(None)
    reason: str | None = None


@frozen
class ExpiryWarning:
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
class PresentedLicense:
    """A license whose secret was sent.

    Attributes:
        license: the record.
        token_ends_at: when the token that was sent stops working, if that is before the end of the license; else None.
    """

    license: License
    token_ends_at: datetime | None = None


@frozen
class Report:
    """The answer.

    Attributes:
        subject: the authenticated caller.
        verdicts: one for each image, in the order of the request.
        licenses: those that were presented; empty for members and service accounts.
        warnings: what is about to end.
    """

    subject: Subject
    verdicts: tuple[Verdict, ...] = ()
    licenses: tuple[PresentedLicense, ...] = ()
    warnings: tuple[ExpiryWarning, ...] = ()


class ManifestLookup(Protocol):
    """Finds manifests in our registry."""

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:
        """Return the manifest under a tag or digest."""
        ...


def _fair_share() -> FairShare:
    # Each request ends at its own deadline before.
    return FairShare(AT_ONCE, PER_TEAM, MAX_WAITING, TOO_MANY, patience=2 * LOOKUP_DEADLINE)


@frozen(eq=False, repr=False)
class Preflight:
    """Answers preflights of one service.

    Attributes:
        authenticator: authenticates the caller.
        registry: ours.
        tokens: signs the tokens with which this server queries it.
        service: the registry's name.
    """

    authenticator: RequestAuthenticator
    registry: ManifestLookup
    tokens: SystemTokens
    service: str
    _share: FairShare = field(init=False, factory=_fair_share, eq=False)
    _in_flight: InFlight[tuple[str, str, str], FoundManifest] = field(
        init=False, factory=lambda: InFlight(cancel_unwanted=True), eq=False
    )

    async def check(self, presented: Presented, images: Sequence[str], client: Client, now: datetime) -> Report:
        """Return what would happen to a pull of each of ``images``.

        Raises:
            InputRefused: too many images, or an invalid image name.
            CredentialsRefused: identity was not proven, or only by a refresh token.
            AccountDenied: identity is proven, but the account may not be used now.
            Throttled: too many wrong secrets came before.
            StoreUnavailable: the store did not answer.
            SignerUnavailable: there is no valid signing certificate.
            Overloaded: too many requests of the same team wait already.
        """
        # 1. Find the repositories of this registry.
        references = [_parse(image) for image in _at_most(images)]
        ours = [reference for reference in references if reference.domain == self.service]
        scopes = {one.path: ResourceScope(REPOSITORY, one.path, (PULL,)) for one in ours}
        # 2. Authenticate the caller.
        proof = classify(presented)
        if isinstance(proof, MachineProof) and proof.secret.kind == REFRESH_KIND:
            raise CredentialsRefused(REFRESH_REFUSED, detail="a refresh token, which is valid at /auth/token alone")
        subject = await self.authenticator.authenticate(proof, namespaces(scopes.values()), client, now)
        # 3. Decide what it may pull.
        decision = decided(subject, tuple(scopes.values()), now)
        granted = {entry.name for entry in decision.access if PULL in entry.actions}
        refusals = {scope.name: _refusal(subject, scope, now) for scope in scopes.values() if scope.name not in granted}
        # 4. Look up the images in the registry.
        verdicts = await _all(
            self._verdict(image, reference, subject, refusals, now)
            for image, reference in zip(images, references, strict=True)
        )
        # 5. Warn of what is about to end.
        licenses = _presented(subject, proof)
        warnings = tuple(warning for one in licenses for warning in _warnings(one, now, alone=len(licenses) == 1))
        return Report(subject, tuple(verdicts), licenses, warnings)

    def _elsewhere(self, image: str, domain: str) -> Verdict:
        """Return the verdict on an image whose name does not belong to this registry."""
        if domain.lower().removesuffix(_HTTPS_PORT) != self.service.removesuffix(_HTTPS_PORT):
            return Verdict(image, ok=None, may_pull=False, reason=f"it is not an image of {self.service}")
        reason = f"docker and podman take {domain} for another registry than {self.service}; write {self.service}"
        return Verdict(image, ok=False, may_pull=False, reason=reason)

    async def _verdict(
        self, image: str, reference: Reference, subject: Subject, refusals: Mapping[str, str], now: datetime
    ) -> Verdict:
        if reference.domain != self.service:
            return self._elsewhere(image, reference.domain)
        if reference.path in refusals:
            reason = refusals[reference.path]
            return Verdict(image, ok=None if reason == STORE_AWAY else False, may_pull=False, reason=reason)
        location = locate(reference.path)
        if location is not None and location.upstream is not None:
            return Verdict(image, ok=None, may_pull=True, reason=f"it is pulled through from {location.upstream}")
        team = _team(subject, reference.path.partition("/")[0])
        found = await self._find(team, reference.path, reference.digest or reference.tag or "", now)
        verdict = Verdict(image, ok=found.exists is True, may_pull=True, found=found)
        if found.exists is None:
            return evolve(verdict, reason="the registry did not answer; try again")
        return verdict if found.exists else evolve(verdict, reason="there is no such image")

    async def _find(self, team: str, repository: str, reference: str, now: datetime) -> FoundManifest:
        """Return what the registry reports; a request that is in flight for the same team is shared."""

        async def ask() -> FoundManifest:
            async with self._share.slot(team):
                return await self.registry.find(
                    repository, reference, self.tokens.for_repository(repository, (PULL,), now)
                )

        try:
            async with asyncio.timeout(LOOKUP_DEADLINE):
                return await self._in_flight.ask((team, repository, reference), lambda: asyncio.ensure_future(ask()))
        except TimeoutError:
            return FoundManifest(None)


async def _all(work: Iterable[Coroutine[Any, Any, Verdict]]) -> Sequence[Verdict]:
    """Return the results in order; when one fails, or the caller is cancelled, the others are cancelled too."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _team(subject: Subject, app: str) -> str:
    """Return the team for which an image of ``app`` is looked up."""
    match subject:
        case MemberSubject():
            return subject.member.team
        case ServiceAccountSubject():
            return subject.account.team
        case LicenseSubject():
            return subject.license.team
        case LicensesSubject():
            return next(one.team for one in subject.licenses if one.app == app)


def _at_most(images: Sequence[str]) -> Sequence[str]:
    if len(images) > MAX_IMAGES:
        raise InputRefused(
            f"a preflight looks at {MAX_IMAGES} images at most, and this one names {len(images)}",
            code="images_too_many",
            field="images",
        )
    return images


def _parse(image: str) -> Reference:
    try:
        return Reference.parse(image)
    except ValueError as error:
        raise InputRefused(f"{image[:200]!r} is not an image: {error}", code="image_invalid", field="images") from error


def _refusal(subject: Subject, scope: ResourceScope, now: datetime) -> str:
    """Return why a pull of ``scope`` alone is refused.

    A license's holder knows what it says; the reason reveals nothing about other apps.
    """
    if not isinstance(subject, LicenseSubject | LicensesSubject):
        return "your account does not cover this repository"
    decision = decide(subject, [scope], now)
    if decision.unanswered:
        return STORE_AWAY
    if decision.account is not None:  # one of several licenses; a single one would have been refused before
        return denial_sentence(decision.account)
    licenses = (subject.license,) if isinstance(subject, LicenseSubject) else subject.licenses
    reason = next((one.reason for one in decision.refusals), Reason(RefusalReason.NOT_COVERED_BY_LICENSE))
    whom = _ask(*(one for one in licenses if len(licenses) == 1 or one.id in decision.licenses))
    return f"{reason_sentence(reason, PULL)}; {whom}"


def _presented(subject: Subject, proof: Proof) -> tuple[PresentedLicense, ...]:
    """Return the licenses of ``subject``, with the ends of the tokens that were sent."""
    if isinstance(subject, LicenseSubject):
        licenses: tuple[License, ...] = (subject.license,)
    else:
        licenses = subject.licenses if isinstance(subject, LicensesSubject) else ()
    match proof:
        case MachineProof(secret):
            secrets: tuple[MachineSecret, ...] = (secret,)
        case LicensesProof():
            secrets = proof.secrets
        case _:
            secrets = ()
    return tuple(PresentedLicense(one, _token_end(one, secrets)) for one in licenses)


def _token_end(license_: License, secrets: Sequence[MachineSecret]) -> datetime | None:
    """Return when the last of the license's sent tokens ends, or None when one lasts until the license ends."""
    ends = [token.ends_at for token in license_.tokens if any(secret.has_digest(token.sha256) for secret in secrets)]
    return None if None in ends else max((end for end in ends if end is not None), default=None)


def _warnings(presented: PresentedLicense, now: datetime, *, alone: bool) -> tuple[ExpiryWarning, ...]:
    """Return what is about to end; a license that is not ``alone`` is named, and an ended license gives no warning."""
    license_, warnings = presented.license, []
    if not alone and license_.state(now) != "active":
        return ()
    whose = "" if alone else f" {license_.id} for {license_.app}"
    if presented.token_ends_at is not None:
        left = in_words((presented.token_ends_at - now).total_seconds())
        what = "this file's token" if alone else f"the token in the file of license{whose}"
        text = f"{what} ends in {left}; a newer file exists; {_ask(license_)} for it"
        warnings.append(ExpiryWarning("token-ends", text, presented.token_ends_at))
    end = license_.expires_at
    if end - now <= SOON:
        left = in_words((end - now).total_seconds())
        text = f"the license{whose} ends in {left}, on {day(end)}; {_ask(license_)}"
        warnings.append(ExpiryWarning("license-ends", text, end))
    return tuple(warnings)


def _ask(*licenses: License) -> str:
    return ask_vendor(license_.contact for license_ in licenses)
