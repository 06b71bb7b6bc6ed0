"""The credential that proved an identity, as the audit records it: its kind, its id, and its facts at that time."""

from datetime import datetime
from typing import Any, assert_never

from attrs import frozen

from authsvc.audit.entry_words import ACTIVE, WITH_ITS_APP
from authsvc.credentials.subject import (
    LicensesSubject,
    LicenseSubject,
    MemberSubject,
    ServiceAccountSubject,
    Subject,
)
from authsvc.tenancy.machine_records import Grant, PersonalToken, RefreshToken
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import App, License

MAX_LISTED = 10
"""Most patterns or grants that an entry repeats."""

LICENSE, STATE = "license", "state"
_LICENSE_FACTS = ("ends_at", "not_before", "app", "customer", "type", "repositories")
"""The credential of a license, and its facts: its state, and these."""


@frozen
class Credential:
    """The credential that proved an identity, with its facts at that time.

    Attributes:
        kind: ``license``, ``licenses`` (the fact ``licenses`` lists each), ``personal token``, ``sign-in``, ``service
            account``, ``passkey`` or ``password``.
        id: of the record that contains it.
        facts: names, and values as in records: they are rendered once for many repeats.
    """

    kind: str
    id: str
    facts: tuple[tuple[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the credential as it is stored and listed; a fact without a value is left out."""
        facts = {name: _rendered(value) for name, value in self.facts if value is not None}
        return {"kind": self.kind, "id": self.id, **facts}


def _member(subject: MemberSubject) -> Credential:
    member, by = subject.member, subject.by
    who = ("member", member.email)
    facts: tuple[tuple[str, Any], ...] = (who, ("role", member.role), ("team", member.team), ("apps", member.apps))
    match by:
        case None:
            return Credential("password", member.id, facts)
        case PersonalToken():
            return Credential("personal token", by.id, (("name", by.name), ("ends_at", by.expires_at), *facts))
        case Passkey():
            return Credential("passkey", by.id, (("name", by.name), *facts))
        case RefreshToken():
            return Credential("sign-in", by.id, facts)


def credential_of(subject: Subject, now: datetime) -> Credential:
    """Return the credential of ``subject``, with its facts at ``now``."""
    match subject:
        case LicenseSubject(license_, app):
            return _license(license_, app, now)
        case LicensesSubject((license_,), apps):
            return _license(license_, apps.get(license_.app), now)
        case LicensesSubject(licenses, apps):
            each = tuple(_license(license_, apps.get(license_.app), now) for license_ in licenses)
            return Credential("licenses", ",".join(one.id for one in each), (("licenses", each),))
        case MemberSubject():
            return _member(subject)
        case ServiceAccountSubject(account, creator=creator):
            return Credential(
                "service account",
                account.id,
                (
                    ("name", account.name),
                    ("team", account.team),
                    ("grants", account.grants),
                    ("ends_at", account.expires_at),
                    ("creator", creator and creator.email),
                    ("creator_role", creator and creator.role),
                ),
            )
        case _:
            assert_never(subject)


def _license(license_: License, app: App | None, now: datetime) -> Credential:
    state = license_.state(now)
    state = WITH_ITS_APP if state == ACTIVE and app is not None and app.archived_at is not None else state
    values = zip(_LICENSE_FACTS, license_values(license_), strict=True)
    return Credential(LICENSE, license_.id, ((STATE, state), *values))


def license_values(one: License) -> tuple[Any, ...]:
    """Return the values of :data:`_LICENSE_FACTS`."""
    return (one.expires_at, one.not_before, one.app, one.customer, one.type, one.repositories)


def _item(item: Any) -> Any:
    if isinstance(item, Credential):
        return item.to_json()
    return item.render() if isinstance(item, Grant) else str(item)


def _rendered(value: Any) -> Any:
    """Return a fact as JSON; a long list is reduced to its first items and the number of the others."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        items = [_item(item) for item in value[:MAX_LISTED]]
        return items if len(value) <= MAX_LISTED else [*items, f"and {len(value) - MAX_LISTED} more"]
    return str(value)
