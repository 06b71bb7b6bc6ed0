"""Frozen records of tokens, service accounts, refresh tokens and one-time links.

A record never contains a secret, only the SHA-256 of a random secret of 256 bits.
"""

import enum
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.tenancy.records import Role, TokenDigest

REFRESH_IDLE = timedelta(days=30)
"""A refresh token ends when it is not used for this long."""

REFRESH_LIFE = timedelta(days=90)
"""A refresh token ends after this time, however often it is used."""

MAX_REFRESH_TOKENS = 20
"""Most valid refresh tokens of one member; the oldest are ended first."""

REFRESH_WINDOW = timedelta(hours=1)
"""At most :data:`MAX_REFRESH_TOKENS` of one member are made within this time. Each adds an audit entry, and nothing
else limits their number."""

LINK_LIFE = timedelta(hours=72)
"""How long an invite or reset link works."""

MAX_TEAM_LINKS = 200
"""Most invite and reset links of one team that have not ended."""


class ApiAccess(enum.StrEnum):
    """What a token may do at the management API."""

    READ = "read"
    MANAGE = "manage"


class LinkPurpose(enum.StrEnum):
    """What a one-time link is for."""

    INVITE = "invite"
    RESET = "reset"


@frozen
class PersonalToken:
    """A member's token for a tool: it has the member's rights, as long as the member has them.

    Attributes:
        id: never reused.
        name: unique among the member's tokens.
        member: id of the member.
        sha256: of the whole secret, hexadecimal.
        created_at: aware.
        expires_at: the first instant at which it is no longer valid, or None.
        api: what it may do at the management API; None for nothing.
        revoked_at: since when it is refused, or None.
    """

    id: str
    name: str
    member: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    api: ApiAccess | None = None
    revoked_at: datetime | None = None


@frozen
class Grant:
    """One row of a service account's rights.

    Attributes:
        app: slug.
        pattern: relative to the app.
        actions: sorted, of ``pull``, ``push`` and ``delete``.
    """

    app: str
    pattern: str
    actions: tuple[str, ...]

    def render(self) -> str:
        """Return the row as on the command line: ``myapp/api/*:pull,push``."""
        return f"{self.app}/{self.pattern}:{','.join(self.actions)}"


@frozen
class ServiceAccount:
    """A machine's own account in a team.

    Attributes:
        id: never reused.
        name: unique in the team.
        team: slug.
        grants: everything it may do.
        tokens: the valid generations, newest first; at most two.
        created_at: aware.
        creator: id of the member who made it, whose rights limit its own at every use; None for the operator.
        expires_at: the first instant at which it no longer counts, or None.
        api: what it may do at the management API; None is nothing.
        disabled_at: since when it is disabled, or None.
        revoked_at: since when it is refused permanently, or None.
    """

    id: str
    name: str
    team: str
    grants: tuple[Grant, ...]
    tokens: tuple[TokenDigest, ...]
    created_at: datetime
    creator: str | None = None
    expires_at: datetime | None = None
    api: ApiAccess | None = None
    disabled_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def subject(self) -> str:
        """The ``sub`` of its tokens."""
        return f"service-account:{self.id}"

    def in_force(self, now: datetime) -> bool:
        """Whether it is valid now, according to its own record."""
        ended = self.expires_at is not None and now >= self.expires_at
        return self.revoked_at is None and self.disabled_at is None and not ended


@frozen
class RefreshToken:
    """A refresh token: ``docker login`` stores it instead of a member's password (design #8).

    It is never rotated, because docker stores only the first one.

    Attributes:
        id: never reused.
        member: id of the member.
        epoch: the member's epoch when it was made; it ends when that changes.
        sha256: of the whole secret, hexadecimal.
        created_at: aware.
        client: the ``client_id`` of the request, for lists; not verified.
        revoked_at: since when it is refused, or None.
    """

    id: str
    member: str
    epoch: int
    sha256: str
    created_at: datetime
    client: str | None = None
    revoked_at: datetime | None = None

    @property
    def holder(self) -> str:
        """The holder: the id of the member."""
        return self.member

    def ended(self, used_at: datetime | None, now: datetime) -> bool:
        """Whether it is too old, or has not been used for too long since ``used_at``."""
        return now >= self.created_at + REFRESH_LIFE or now >= (used_at or self.created_at) + REFRESH_IDLE


@frozen
class OneTimeLink:
    """An invitation, or the right to set a new password: bound to one person in their present state.

    Attributes:
        id: never reused.
        purpose: see :class:`LinkPurpose`.
        sha256: of the whole secret, hexadecimal.
        team: slug.
        email: canonical form.
        role: the one that the person gets, or must still have.
        apps: those that the person is limited to, or None.
        created_at: aware.
        expires_at: the first instant at which it no longer works.
        creator: id of the member who made it, whose rights are checked again at its use; None for the operator.
        member: id of the member whose password is reset; None for an invitation.
        epoch: the member's when the link was made; the link is void when that changes.
        used_at: when it was consumed, or None.
        token: id of the personal token that its creator used, which must still be valid at its use; None without one.
    """

    id: str
    purpose: LinkPurpose
    sha256: str
    team: str
    email: str
    role: Role
    apps: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime
    creator: str | None = None
    member: str | None = None
    epoch: int | None = None
    used_at: datetime | None = None
    token: str | None = None
