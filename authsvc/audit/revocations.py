"""Collects from the audit which access ended since a backup, so that a restore can end it again.

The last change of each record counts: what was revoked and later reinstated is not revoked again. Access is never
extended: a license that was extended after the backup has the end in the backup.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import Factory, define

_GENERATION = re.compile(r"generation (\d+)(?: until (\S+))?")


@define
class Loss:
    """The access that one license, member, token, service account, app, webhook or link lost.

    Attributes:
        fields: fields of its record with the time when access ended, each with its last value: an instant, or None if
            access was restored.
        generations: the tokens that are valid after a rotation, by number, with their ends; None without a rotation.
        removed: whether the record was removed.
        secret_changed: whether the password was changed.
        limits: other changed fields, such as ``role`` or ``expires_at``, with the last value.
        owner: id or slug of the record that it belongs to, if its event names it.
    """

    fields: dict[str, str | None] = Factory(dict)
    generations: dict[int, str | None] | None = None
    removed: bool = False
    secret_changed: bool = False
    limits: dict[str, Any] = Factory(dict)
    owner: str = ""


@define
class Revocations:
    """The access that ended since a backup.

    Attributes:
        since: the time of the backup.
        newest: time of the newest entry that was read; None before the first.
        losses: by kind of record and id.
    """

    since: datetime
    newest: datetime | None = None
    losses: dict[tuple[str, str], Loss] = Factory(dict)

    def of(self, kind: str, record_id: str) -> Loss | None:
        """Return what a record lost, or None."""
        return self.losses.get((kind, record_id))

    def read(self, entry: Mapping[str, Any]) -> None:
        """Take one audit entry into account; older ones must come first.

        Raises:
            ValueError: it is not an entry.
        """
        at = datetime.fromisoformat(str(entry["at"]))
        if at.tzinfo is None:
            raise ValueError("a time without a time zone")
        self.newest = at if self.newest is None else max(self.newest, at)
        event = str(entry["event"])
        for kind, fact, events in _KINDS:
            if event in events and isinstance(entry.get(fact), str) and at >= self.since:
                self._lose(kind, str(entry[fact]), event, at, entry)
        if event == "license-link.revoked" and at >= self.since:
            for link in entry.get("links") or ():
                self._loss("license-link", str(link)).removed = True

    def _lose(self, kind: str, record_id: str, event: str, at: datetime, entry: Mapping[str, Any]) -> None:
        changed = entry.get("changed")
        changes = {name: pair[1] for name, pair in changed.items()} if isinstance(changed, Mapping) else {}
        loss = self._loss(kind, record_id)
        loss.owner = str(entry.get("member") or entry.get("app") or loss.owner)
        loss.removed = loss.removed or event in _REMOVALS
        if event == "webhook.disabled":
            loss.fields["disabled_at"] = at.isoformat()  # the sender's entry does not contain the time
        loss.fields |= {name: value for name, value in changes.items() if name in _ENDINGS}
        loss.limits |= {name: value for name, value in changes.items() if name in _LIMITS}
        loss.secret_changed = loss.secret_changed or "password" in changes
        if "tokens" in changes:
            found = (_GENERATION.fullmatch(str(text)) for text in changes["tokens"] or ())
            loss.generations = {int(one[1]): one[2] for one in found if one}

    def _loss(self, kind: str, record_id: str) -> Loss:
        return self.losses.setdefault((kind, record_id), Loss())


_ENDINGS = frozenset({"revoked_at", "archived_at", "disabled_at", "removed_at"})

_LIMITS = frozenset({"role", "apps", "grants", "expires_at", "repositories", "api"})

_REMOVALS = frozenset({"upstream.unlinked", "webhook.removed", "passkey.removed", "member.removed"})

_KINDS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("license", "license", frozenset({"license.changed", "license.rotated"})),
    (
        "member",
        "member",
        frozenset(
            f"member.{verb}"
            for verb in ("disabled", "enabled", "removed", "role_set", "password_set", "password_reset", "signed_out")
        ),
    ),
    ("personal-token", "token", frozenset({"token.revoked"})),
    (
        "service-account",
        "service_account",
        frozenset(f"service-account.{verb}" for verb in ("grants_set", "rotated", "disabled", "enabled", "revoked")),
    ),
    ("app", "app", frozenset({"app.archived", "app.reinstated"})),
    ("upstream", "upstream", frozenset({"upstream.unlinked"})),
    ("webhook", "webhook", frozenset({"webhook.disabled", "webhook.enabled", "webhook.removed"})),
    ("passkey", "passkey", frozenset({"passkey.removed"})),
)
"""Kind of record, the fact of an entry that has its id, and the relevant events."""
