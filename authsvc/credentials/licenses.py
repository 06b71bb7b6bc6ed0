"""Authenticates the registry tokens of licenses: one, or several in one password (design #7).

While the store is unavailable, the licenses that it had within the last minute are used (design #13).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from authsvc.credentials.facts import CredentialFactsReader, RecentLicenses
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.credentials.subject import LicensesSubject, LicenseSubject
from authsvc.errors import StoreUnavailable, WrongSecret
from authsvc.tenancy.records import App, License

REFUSED = "the user name, password, token or license file is not right; check it and sign in again"


class LicenseAuthenticator:
    """Finds the licenses that secrets belong to."""

    def __init__(self, facts_reader: CredentialFactsReader, recent: RecentLicenses | None) -> None:
        """Use ``facts_reader``; while it is unavailable, use ``recent``, unless that is None."""
        self._facts = facts_reader
        self._recent = recent

    async def one(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> LicenseSubject:
        """Return the license that ``secret`` belongs to, with its app.

        Raises:
            WrongSecret: it belongs to no license.
            StoreUnavailable: the store did not answer, and did not have this license within the last minute.
        """
        try:
            return await self._one(secret, namespaces, now)
        except StoreUnavailable:
            recent = self._recall(secret, now)
            if recent is None:
                raise
            return recent

    async def several(
        self, secrets: Sequence[MachineSecret], namespaces: Collection[str], now: datetime
    ) -> LicensesSubject:
        """Return all licenses that ``secrets`` belong to. Takes one round trip, or two when no app is requested.

        A wrong secret does not affect the others. Only those of the licenses' apps that are among ``namespaces`` are
        looked up; without namespaces, all of them.

        Raises:
            WrongSecret: none of the secrets belongs to a license.
            StoreUnavailable: the store did not answer, and had none of these licenses within the last minute.
        """
        try:
            proven, apps = await self._several(secrets, namespaces, now)
        except StoreUnavailable:
            recent = [self._recall(secret, now) for secret in secrets]
            known = [subject for subject in recent if subject is not None]
            if not known:
                raise
            by_id = {subject.license.id: subject.license for subject in known}
            licenses = tuple(by_id[license_id] for license_id in sorted(by_id))
            apps = {subject.app.slug: subject.app for subject in known}
            return LicensesSubject(licenses, apps, stale=True, unchecked=None in recent)
        if not proven:
            ids = ", ".join(dict.fromkeys(secret.id for secret in secrets))
            raise WrongSecret(REFUSED, detail=f"no live secret of any of the licenses {ids}")
        return LicensesSubject(tuple(license_ for _, license_ in sorted(proven.items())), apps)

    async def _one(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> LicenseSubject:
        # A pull requests the license's own app, so one round trip suffices; a mere sign-in needs two.
        facts = await self._facts.credential_facts(License, secret.id, None, namespaces)
        known = facts.credential
        if known is None or not opens(secret, known, now):
            raise _refusal(f"{'no' if known is None else 'wrong or rotated secret of'} License {secret.id}")
        if known.app in facts.apps:
            return LicenseSubject(known, facts.apps[known.app])
        facts = await self._facts.credential_facts(License, known.id, None, [known.app])
        license_ = facts.credential
        if license_ is None or not opens(secret, license_, now):  # at that instant too (threat 50)
            raise _refusal(f"License {secret.id} changed during the check")
        app = facts.apps.get(license_.app)
        if app is None:
            raise _refusal(f"the app of {license_.subject} is gone")
        return LicenseSubject(license_, app)

    async def _several(
        self, secrets: Sequence[MachineSecret], namespaces: Collection[str], now: datetime
    ) -> tuple[Mapping[str, License], Mapping[str, App]]:
        ids = list(dict.fromkeys(secret.id for secret in secrets))
        licenses, apps = await self._facts.licenses(ids, namespaces)
        proven = _proven(secrets, licenses, now)
        if namespaces or not proven:
            return proven, apps
        # A mere sign-in names no app; whether a license is valid depends on its own app, as of the same instant.
        slugs = sorted({license_.app for license_ in proven.values()})
        licenses, apps = await self._facts.licenses(list(proven), slugs)
        return _proven(secrets, licenses, now), apps

    def _recall(self, secret: MachineSecret, now: datetime) -> LicenseSubject | None:
        """Return the license of ``secret`` as the store had it within the last minute, or None."""
        known = None if self._recent is None else self._recent.recall(secret.id)
        return LicenseSubject(*known, stale=True) if known is not None and opens(secret, known[0], now) else None


def opens(secret: MachineSecret, license_: License, now: datetime) -> bool:
    """Whether ``secret`` is a valid registry token of ``license_``."""
    return secret.id == license_.id and any(
        token.is_live(now) and secret.has_digest(token.sha256) for token in license_.tokens
    )


def _proven(secrets: Iterable[MachineSecret], licenses: Mapping[str, License], now: datetime) -> Mapping[str, License]:
    """Return those of ``licenses`` that have a secret, by id: two generations of one license are one license."""
    return {
        secret.id: licenses[secret.id]
        for secret in secrets
        if secret.id in licenses and opens(secret, licenses[secret.id], now)
    }


def _refusal(why: str) -> WrongSecret:
    return WrongSecret(REFUSED, detail=why)
