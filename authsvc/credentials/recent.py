"""Cache of the licenses that this process verified within the last minute, for an unavailable store (design #13).

A pull may go on for a minute after the last time the store confirmed the license. A revocation that was seen once is
never forgotten for an older word: answers may come in another order than their questions, so one to a question from
before it was seen is ignored. Nothing is cached for members and service accounts, who can change things.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from attrs import evolve

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.credentials.subject import LicenseSubject
from authsvc.tenancy.records import License, live_tokens

BELIEVED_FOR = timedelta(seconds=60)
"""How long after the store's last word a license is believed without it."""

MAX_REMEMBERED = 1024
"""Most licenses that one worker remembers, at about 1.7 KB each; the oldest go first."""


class RecentLicenses:
    """Keeps verified license subjects for a minute."""

    def __init__(self) -> None:
        """Start empty."""
        self._remembered: OrderedDict[str, tuple[LicenseSubject, datetime]] = OrderedDict()
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._refusals = 0

    def asking(self) -> int:
        """Return the number of refusals seen so far; to be read before the store is asked."""
        return self._refusals

    def remember(self, secret: MachineSecret, subject: LicenseSubject, now: datetime, asked: int) -> None:
        """Remember what the store has said, to a question of ``asked``, of the license that ``secret`` opens."""
        digest = secret.sha256()
        if subject.license.revoked_at or subject.license.archived_at or subject.app.archived_at:
            self._end_of(subject)
            self._refuse(digest)
        elif self._refused.get(digest, 0) > asked:
            return
        self._remembered[digest] = (subject, now)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > MAX_REMEMBERED or self._ended(next(iter(self._remembered.values()))[1], now):
            self._remembered.popitem(last=False)

    def _end_of(self, subject: LicenseSubject) -> None:
        """Apply an end that was seen with one secret of a license to its other one, too."""
        for token in subject.license.tokens:
            self._refuse(token.sha256)
            _, verified_at = self._remembered.get(token.sha256, (None, None))
            if verified_at is not None:
                self._remembered[token.sha256] = (subject, verified_at)

    @staticmethod
    def _ended(verified_at: datetime, now: datetime) -> bool:
        return now >= verified_at + BELIEVED_FOR

    def forget(self, secret: MachineSecret) -> None:
        """Drop a secret that the store has just refused."""
        digest = secret.sha256()
        self._remembered.pop(digest, None)
        self._refuse(digest)

    def end(self, license_: License) -> None:
        """Drop every secret of a license that the store has just said is revoked or archived."""
        for token in license_.tokens:
            self._remembered.pop(token.sha256, None)
            self._refuse(token.sha256)

    def _refuse(self, digest: str) -> None:
        self._refusals += 1
        self._refused[digest] = self._refusals
        self._refused.move_to_end(digest)
        if len(self._refused) > MAX_REMEMBERED:
            self._refused.popitem(last=False)

    def recall(self, secret: MachineSecret, now: datetime) -> LicenseSubject | None:
        """Return the license that ``secret`` opened within the last minute, marked as stale, or None."""
        subject, verified_at = self._remembered.get(secret.sha256(), (None, now))
        if subject is None or not verified_at <= now < verified_at + BELIEVED_FOR:
            return None
        if not any(secret.has_digest(token.sha256) for token in live_tokens(subject.license.tokens, now)):
            return None  # the overlap of a rotation ended meanwhile
        return evolve(subject, stale=True)
