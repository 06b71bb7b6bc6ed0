"""The commands after a restored snapshot: credentials that ended or were issued after it must not be valid.

Sign-ins, refresh tokens and one-time links all end. Members are at a new epoch, linked registries at a new purge, and a
license is rotated to a generation that no lost change can have issued. Access that ended since, according to the audit,
is ended again (:mod:`authsvc.audit.revocations`). Records are written with their own codec; entries of indexes that are
missing then are written by the pass that follows each start (:mod:`authsvc.store.migration`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import define, evolve, field

from authsvc.audit.entry import Entry
from authsvc.audit.revocations import Loss, Revocations
from authsvc.redaction import Secret
from authsvc.store import keys, license_link_keys, passkey_keys
from authsvc.store.codec import Codec
from authsvc.store.rdb import StoredText
from authsvc.tenancy.license_link import LicenseLink
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import App, License, Member, Role, TokenDigest
from authsvc.upstreams.link import UpstreamLink
from authsvc.webhooks.webhook import Webhook

T = TypeVar("T")
R = TypeVar("R", App, License, Member, PersonalToken, ServiceAccount)
Command = Sequence[str | bytes]

ENDED = tuple(
    f"{keys.PREFIX}{kind}:"
    for kind in (
        *("portal-session", "holder-sessions", "refresh-token", "member-refresh-tokens"),
        *("link", "pending-link", "team-links", "passkey-challenge-key", "worker"),
    )
)
"""Prefixes of the keys that a restore removes."""

PURGES = 1000
"""Added to the purges of a linked registry in the backup: more than anyone makes in the time that was lost."""

FLOOR_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
"""Generations of license tokens after a restore begin with the seconds since then: more than any that was issued."""

EVENT = "backup.restored"

RESTORED_REASON = "it was removed or disabled after the backup that was restored"

_ROLES = (Role.VIEWER, Role.DEVELOPER, Role.OWNER)


@define
class Restoration:
    """Determines the commands after a snapshot, in one reading of it.

    Attributes:
        revocations: access that ended since.
        unusable_hash: hash that no password has.
        entry: the audit entry about the restore.
        counted: numbers of records by kind, and of changed ones, filled by :meth:`commands`.
    """

    revocations: Revocations
    unusable_hash: Secret
    entry: Entry
    counted: Counter[str] = field(factory=Counter)
    _codec: Codec = field(factory=Codec)

    def wants(self, key: str) -> bool:
        """Whether the value of a key is needed."""
        if key == keys.AUDIT:
            return True
        kind, name = _kind(key)
        if kind in {"member", "upstream"}:
            return True
        if kind == "passkey":
            return any(one == "passkey" or (one == "member" and loss.removed) for (one, _), loss in self._losses())
        return kind in _CHANGES and self.revocations.of(kind, name) is not None

    def commands(self, stored: Iterator[StoredText]) -> Iterator[Command]:
        """Yield the commands.

        Args:
            stored: the snapshot, read with :meth:`wants`.

        Raises:
            StoreUnavailable: a record is damaged, or was written by a newer authsvc.
        """
        last = 0
        for one in stored:
            if one.key == keys.AUDIT:
                last = int((one.value or b"0").partition(b"-")[0])
            if one.key.startswith(ENDED) or one.key in {keys.WORKERS, keys.IMAGES_CRAWL}:
                yield "DEL", one.key
                continue
            kind, name = _kind(one.key)
            self.counted[kind] += 1
            if one.value is not None and kind in _CHANGES:
                yield from self._changed(kind, name, one.key, one.value)
        yield "HDEL", keys.MIGRATION, "settled"
        floor = int((self.entry.at - FLOOR_SINCE).total_seconds())
        yield "SET", keys.GENERATION_FLOOR, str(floor)
        # After the last entry, also when the clock was set back since.
        number = max(last + 1, int(self.entry.at.timestamp() * 1000))
        yield "XADD", keys.AUDIT, f"{number}-0", "entry", self.entry.text()

    def _losses(self) -> Sequence[tuple[tuple[str, str], Loss]]:
        return tuple(self.revocations.losses.items())

    def _changed(self, kind: str, name: str, key: str, raw: bytes) -> Iterator[Command]:
        record_type, change = _CHANGES[kind]
        record: Any = self._codec.decode(raw, record_type)
        record_id = name if kind != "upstream" else record.id
        loss = self.revocations.of(kind, record_id)
        if kind == "passkey" and loss is None:
            loss = self.revocations.of("member", record.member)
            loss = loss if loss is not None and loss.removed else None
        if kind == "member":
            record = evolve(record, epoch=record.epoch + 1)
            if loss is not None and loss.secret_changed:
                record = evolve(record, password_hash=self.unusable_hash)
        elif kind == "upstream":
            record = evolve(record, purge_count=record.purge_count + PURGES)
        if loss is not None:
            before, record = record, change(record, loss, self.entry.at)
            if record is None or record != before or loss.secret_changed:
                self.counted[f"taken away: {kind}"] += 1
        if record is None:
            yield from _removal(kind, key, self._codec.decode(raw, record_type))
            return
        yield "SET", key, self._codec.encode_change(raw, record), "KEEPTTL"
        if kind == "member" and record.removed_at is not None:
            yield "DEL", keys.member_email(record.email), passkey_keys.member_passkeys(record.id)
            yield "SREM", keys.team_members(record.team), record.id


def _kind(key: str) -> tuple[str, str]:
    """Return the kind of record that a key belongs to, and what follows in its name."""
    kind, _, name = key.removeprefix(keys.PREFIX).partition(":")
    return kind, name


def _with_endings(record: R, loss: Loss) -> R:
    """Return ``record`` without the access that it lost."""
    ends: dict[str, Any] = {
        name: datetime.fromisoformat(value)
        for name, value in loss.fields.items()
        if value is not None and getattr(record, name, None) is None
    }
    return evolve(record, **ends) if ends else record


def _tokens(tokens: tuple[TokenDigest, ...], loss: Loss, now: datetime) -> tuple[TokenDigest, ...]:
    """Return ``tokens`` with the ends that the last rotation gave them."""
    if loss.generations is None:
        return tokens
    newest = max(loss.generations, default=0)
    return tuple(
        token if token.generation >= newest else evolve(token, ends_at=_end(token, loss.generations, now))
        for token in tokens
    )


def _end(token: TokenDigest, generations: Mapping[int, str | None], now: datetime) -> datetime:
    text = generations.get(token.generation)
    return min(token.ends_at or now, now) if text is None else datetime.fromisoformat(text)


def _license(record: License, loss: Loss, now: datetime) -> License:
    record = _with_endings(record, loss)
    end = loss.limits.get("expires_at")
    if isinstance(end, str) and datetime.fromisoformat(end) < record.expires_at:
        record = evolve(record, expires_at=datetime.fromisoformat(end))
    narrowed = loss.limits.get("repositories")
    if narrowed is not None:
        old = record.repositories
        record = evolve(record, repositories=tuple(one for one in narrowed if old is None or one in old))
    return evolve(record, tokens=_tokens(record.tokens, loss, now))


def _member(record: Member, loss: Loss, _now: datetime) -> Member:
    record = _with_endings(record, loss)
    role = loss.limits.get("role")
    if role is not None and _ROLES.index(Role(role)) < _ROLES.index(record.role):
        record = evolve(record, role=Role(role))
    apps = loss.limits.get("apps")
    if apps is not None:
        record = evolve(record, apps=tuple(app for app in apps if record.apps is None or app in record.apps))
    return record


def _service_account(record: ServiceAccount, loss: Loss, now: datetime) -> ServiceAccount:
    record = _with_endings(record, loss)
    grants = loss.limits.get("grants")
    if grants is not None:
        record = evolve(record, grants=tuple(grant for grant in record.grants if grant.render() in grants))
    return evolve(record, tokens=_tokens(record.tokens, loss, now))


def _webhook(record: Webhook, loss: Loss, now: datetime) -> Webhook:
    if record.disabled_at is not None or not (loss.removed or loss.fields.get("disabled_at")):
        return record
    return evolve(record, disabled_at=now, disabled_reason=RESTORED_REASON)


def _ended(record: R, loss: Loss, _now: datetime) -> R:
    return _with_endings(record, loss)


def _gone(record: T, loss: Loss, _now: datetime) -> T | None:
    return None if loss.removed else record


_CHANGES: Mapping[str, tuple[type, Callable[[Any, Loss, datetime], Any]]] = {
    "app": (App, _ended),
    "license": (License, _license),
    "license-link": (LicenseLink, _gone),
    "member": (Member, _member),
    "passkey": (Passkey, _gone),
    "personal-token": (PersonalToken, _ended),
    "service-account": (ServiceAccount, _service_account),
    "upstream": (UpstreamLink, _gone),
    "webhook": (Webhook, _webhook),
}
"""By kind of record: its class, and what it is without what it lost."""


def _removal(kind: str, key: str, record: Any) -> Iterator[Command]:
    """Yield the commands that remove a record from its lists."""
    yield "DEL", key
    if kind == "license-link":
        yield "ZREM", license_link_keys.license_links(record.license), record.id
    elif kind == "passkey":
        yield "ZREM", passkey_keys.member_passkeys(record.member), record.id
    elif kind == "upstream":
        yield "DEL", keys.upstream_id(record.id)
        yield "ZREM", keys.app_upstreams(record.app), record.id
        yield "ZREM", keys.team_upstreams(record.team), record.id
