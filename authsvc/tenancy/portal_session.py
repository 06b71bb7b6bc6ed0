"""Sessions of the portal: what a browser's cookie stands for. Only the SHA-256 of the cookie is in the record."""

from datetime import datetime, timedelta

from attrs import frozen

SESSION_IDLE = timedelta(hours=12)
"""A session that is not used for so long ends."""

SESSION_LIFE = timedelta(days=7)
"""A session ends after so long, however often it is used."""

MAX_SESSIONS = 20
"""Live sessions of one member; the oldest end first."""

SESSION_WINDOW = timedelta(hours=1)
"""At most :data:`MAX_SESSIONS` of one member begin within so long: each is a change in the audit."""

MAX_BROWSER = 200
"""Characters that are kept of what a browser calls itself."""


def holder_of(member_id: str, epoch: int) -> str:
    """Return what stands for a member at one epoch."""
    return f"{member_id}-{epoch}"


@frozen
class PortalSession:
    """A member who is signed in to the portal with one browser.

    Attributes:
        id: never reused.
        member: id of the member.
        epoch: the member's at the time of signing in; another one ends the session.
        sha256: of the whole cookie, hexadecimal.
        created_at: aware.
        network: where the browser was then, as the throttle counts it.
        browser: what it calls itself; unproven.
        revoked_at: since when it is refused, or None.
        passkey: id of the passkey that the member signed in with; None for the password.
    """

    id: str
    member: str
    epoch: int
    sha256: str
    created_at: datetime
    network: str = ""
    browser: str = ""
    revoked_at: datetime | None = None
    passkey: str | None = None

    @property
    def holder(self) -> str:
        """Whose session it is: sessions of another epoch are no longer the member's, and do not count."""
        return holder_of(self.member, self.epoch)

    def ends_at(self, used_at: datetime | None) -> datetime:
        """Return when it ends by itself if it is not used again."""
        return min(self.created_at + SESSION_LIFE, (used_at or self.created_at) + SESSION_IDLE)

    def in_force(self, epoch: int, used_at: datetime | None, now: datetime) -> bool:
        """Whether it counts now, for a member whose epoch is ``epoch``."""
        return self.revoked_at is None and self.epoch == epoch and now < self.ends_at(used_at)
