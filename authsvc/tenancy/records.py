"""The main records: frozen values, each with the rules that depend only on the record itself."""

import enum
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any

from attrs import evolve, field, frozen

from authsvc.redaction import Secret


class Role(enum.StrEnum):
    """What a member may do in a team; the table is in :mod:`authsvc.policy`."""

    OWNER = "owner"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class LicenseType(enum.StrEnum):
    """The kind of a license; for reports only, it does not change any right."""

    TRIAL = "trial"
    PAID = "paid"
    DEV = "dev"


@frozen
class Team:
    """A software vendor.

    Attributes:
        slug: immutable, never reused.
        name: for people.
        created_at: aware.
    """

    slug: str
    name: str
    created_at: datetime


@frozen
class App:
    """One application of a vendor; its slug is the registry namespace.

    Attributes:
        slug: immutable, never reused, unique over all teams.
        team: slug of the owning team.
        name: for people.
        created_at: aware.
        archived_at: since when nobody may push to it or pull from it; None while it is in use.
    """

    slug: str
    team: str
    name: str
    created_at: datetime
    archived_at: datetime | None = None


@frozen
class Member:
    """A person of a vendor's team.

    Attributes:
        id: never reused, even when the same address joins again.
        email: canonical form.
        team: slug.
        role: see :class:`Role`.
        apps: the apps the member is limited to, or None for every app of the team.
        password_hash: Argon2id in PHC form.
        epoch: raised by every change that must invalidate remembered passwords at once.
        created_at: aware.
        disabled_at: since when the account may not be used, or None.
        removed_at: since when the person is no longer a member, or None; the id is never used again.
    """

    id: str
    email: str
    team: str
    role: Role
    apps: tuple[str, ...] | None
    password_hash: Secret
    epoch: int
    created_at: datetime
    disabled_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def subject(self) -> str:
        """The ``sub`` of this member's tokens."""
        return f"member:{self.id}"

    @property
    def manages_team(self) -> bool:
        """Whether the member can manage the whole team now: an owner of every app, neither disabled nor removed."""
        return self.role is Role.OWNER and self.apps is None and self.disabled_at is None and self.removed_at is None


@frozen
class TokenDigest:
    """One valid generation of a license's registry token.

    Attributes:
        generation: the number under which the token is derived.
        sha256: hexadecimal SHA-256 of the whole token.
        ends_at: when an older generation stops working after a rotation with overlap, or None.
    """

    generation: int
    sha256: str
    ends_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it is still valid."""
        return self.ends_at is None or now < self.ends_at


def live_tokens(tokens: tuple[TokenDigest, ...], now: datetime) -> tuple[TokenDigest, ...]:
    """Return those of ``tokens`` that are still valid."""
    return tuple(token for token in tokens if token.is_live(now))


def rotated(
    tokens: tuple[TokenDigest, ...], sha256: str, overlap: timedelta, now: datetime, generation: int | None = None
) -> tuple[TokenDigest, ...]:
    """Return the valid generations after a rotation: the new one, and for ``overlap`` the newest old one.

    The new one is number ``generation``, or follows the newest.
    """
    newest = TokenDigest(generation or tokens[0].generation + 1, sha256)
    old = live_tokens(tokens, now)[:1]
    if not overlap or not old:
        return (newest,)
    ends_at = now + overlap if old[0].ends_at is None else min(old[0].ends_at, now + overlap)
    return newest, evolve(old[0], ends_at=ends_at)


def _as_json(fields: Mapping[str, Any]) -> str:
    """Return custom fields in comparable form: 1, 1.0 and true are equal in Python, but not in a license file."""
    return json.dumps(fields, sort_keys=True)


MAX_SHARED_TEXT = 512
"""Most characters of custom fields that are shared by licenses: at most about 2 MiB in all."""


def _same_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    text = json.dumps(fields) if fields else "{}"
    return _first_of_same_text(text) if len(text) <= MAX_SHARED_TEXT else fields


@lru_cache(maxsize=1024)
def _first_of_same_text(fields: str) -> Mapping[str, Any]:
    """Return the custom fields in their order: those of one text are one object, which nobody may change."""
    found: dict[str, Any] = json.loads(fields)
    return found


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


def _same_patterns(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if patterns is None else _first_of_equal(patterns)


@lru_cache(maxsize=1024)
def _first_of_equal(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns: an lru_cache returns the object that it was first called with for each equal one."""
    return patterns


@frozen
class License:
    """A customer's right to pull one app's images until it ends.

    What many licenses have in common is stored once: a worker caches thousands of licenses.

    Attributes:
        id: never reused.
        app: slug of the app.
        team: slug of the vendor.
        customer: the name as written into the file; shown to people and part of every refusal.
        type: for reports.
        issued_at: aware.
        expires_at: aware; the first instant at which it is no longer valid.
        registry: host and port to log in to, as written into the file.
        tokens: the valid generations, newest first; at most two.
        not_before: aware; the first instant at which it is valid, or None.
        repositories: patterns relative to the app; None for the whole native app, empty for no repositories.
        fields: custom fields for the vendor's own software.
        contact: whom the customer asks, or None.
        reference: the vendor's own key, with which it was imported, or None.
        revoked_at: since when it is refused, or None.
        archived_at: since when it is refused and hidden, or None.
        customer_id: of its holder; None until a license of an older version is indexed.
    """

    id: str
    app: str = field(converter=intern)
    team: str = field(converter=intern)
    customer: str
    type: LicenseType
    issued_at: datetime
    expires_at: datetime
    registry: str = field(converter=intern)
    tokens: tuple[TokenDigest, ...]
    not_before: datetime | None = None
    repositories: tuple[str, ...] | None = field(default=None, converter=_same_patterns)
    fields: Mapping[str, Any] = field(factory=dict, hash=False, eq=_as_json, converter=_same_fields)
    contact: str | None = field(default=None, converter=_interned)
    reference: str | None = None
    revoked_at: datetime | None = None
    archived_at: datetime | None = None
    customer_id: str | None = None

    @property
    def subject(self) -> str:
        """The ``sub`` of this license's tokens."""
        return f"license:{self.id}"

    def state(self, now: datetime) -> str:
        """Return ``archived``, ``revoked``, ``pending``, ``expired`` or ``active``."""
        if self.archived_at is not None:
            return "archived"
        if self.revoked_at is not None:
            return "revoked"
        if self.not_before is not None and now < self.not_before:
            return "pending"
        return "expired" if now >= self.expires_at else "active"

    def state_in(self, app: App, now: datetime) -> str:
        """Return the effective state: in an archived app, a license that is active or pending counts as archived."""
        state = self.state(now)
        return "archived" if app.archived_at is not None and state in {"active", "pending"} else state


@frozen
class LicenseReference:
    """The license that was made for a vendor's own key, so that an import can be repeated.

    Attributes:
        license: its id.
        expires_at: the end that the import gave it; it may have been extended since.
    """

    license: str
    expires_at: datetime
