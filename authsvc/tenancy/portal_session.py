"""Sessions of the portal, identified by a cookie. The record contains only the SHA-256 of the cookie."""

from datetime import datetime, timedelta

from attrs import frozen

SESSION_IDLE = timedelta(hours=12)
"""A session ends when it is not used for this long."""

SESSION_LIFE = timedelta(days=7)
"""A session ends after this time, however often it is used."""

MAX_SESSIONS = 20
"""Most valid sessions of one member; the oldest are ended first."""

SESSION_WINDOW = timedelta(hours=1)
"""At most :data:`MAX_SESSIONS` of one member begin within this time, since each adds an audit entry."""

MAX_BROWSER = 200
"""Most characters that are kept of a browser's User-Agent."""


def holder_of(member_id: str, epoch: int) -> str:
    """Return the text that identifies a member at one epoch."""
    return f"{member_id}-{epoch}"


@frozen
class PortalSession:
    """A member who is signed in to the portal with one browser.

    Attributes:
        id: never reused.
        member: id of the member.
        epoch: the member's at the sign-in; the session ends when that changes.
        sha256: of the whole cookie, hexadecimal.
        created_at: aware.
        network: of the browser at the sign-in, as the throttle counts it.
        browser: its User-Agent; not verified.
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
        """The holder: the member at one epoch; sessions of another epoch are not valid any more."""
        return holder_of(self.member, self.epoch)

    def ends_at(self, used_at: datetime | None) -> datetime:
        """Return when it expires if it is not used again."""
        return min(self.created_at + SESSION_LIFE, (used_at or self.created_at) + SESSION_IDLE)

    def in_force(self, epoch: int, used_at: datetime | None, now: datetime) -> bool:
        """Whether it is valid now, for a member whose epoch is ``epoch``."""
        return self.revoked_at is None and self.epoch == epoch and now < self.ends_at(used_at)
