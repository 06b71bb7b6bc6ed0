"""The entries of a record in ordered indexes.

An entry is a sortable text, followed by the id of the record. A change of a record writes the entries of its new form
and removes those of its old form in the same step. A reader ignores an entry that does not belong to its record: it was
left over by an older authsvc, which does not maintain indexes.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from authsvc.credentials.machine_secret import ID_ALPHABET, ID_LENGTH
from authsvc.store import keys
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member, Team
from authsvc.tenancy.search import fold, indexed, words

if TYPE_CHECKING:
    from authsvc.upstreams.link import UpstreamLink
    from authsvc.webhooks.webhook import Webhook

IndexEntry = tuple[str, str]
"""Key of an index, and one entry of it."""

NO_TEXT = " "
"""Stands in an entry for a text that is empty when it is folded, such as a lone accent: no entry may begin with the
separator."""

SEPARATOR = "\0"
"""Separates a text from the id after it: sorts a text before every longer one that begins with it."""

_INSTANT_DIGITS = 8


def instant(at: datetime) -> str:
    """Return ``at``, to the second, as text that sorts: from 1970 to the year 36000."""
    seconds, digits = max(0, int(at.timestamp())), ""
    for _ in range(_INSTANT_DIGITS):
        seconds, digit = divmod(seconds, len(ID_ALPHABET))
        digits = ID_ALPHABET[digit] + digits
    return digits


def text(value: str, record_id: str) -> str:
    """Return an entry that sorts by as much of ``value`` as an index holds."""
    return f"{indexed(value) or NO_TEXT}{SEPARATOR}{record_id}"


def id_of(entry: str) -> str:
    """Return the id at the end of an entry."""
    return entry[-ID_LENGTH:]


def entries_of(record: object) -> frozenset[IndexEntry]:
    """Return every entry of a record."""
    make = _ENTRIES.get(type(record).__name__)
    return frozenset() if make is None else frozenset(make(record))


def _license(license_: License) -> Iterable[IndexEntry]:
    issued = instant(license_.issued_at) + license_.id
    yield keys.index("team-licenses", license_.team), issued
    yield keys.index("license-ends", license_.app), instant(license_.expires_at) + license_.id
    if license_.not_before is not None:
        yield keys.index("license-starts", license_.app), instant(license_.not_before) + license_.id
    if license_.revoked_at is not None:
        yield keys.index("licenses-revoked", license_.app), issued
    if license_.archived_at is not None:
        yield keys.index("licenses-archived", license_.app), issued
    if license_.reference is not None:
        yield keys.index("license-references", license_.app), text(fold(license_.reference), license_.id)
    if license_.customer_id is not None:
        yield keys.index("customer-licenses", license_.team), license_.customer_id + issued
        yield keys.index("app-customers", license_.app), license_.customer_id + issued


def _customer(customer: Customer) -> Iterable[IndexEntry]:
    yield keys.index("customers", customer.team), text(fold(customer.name), customer.id)
    yield keys.index("customer-keys", customer.team), keys.customer_name(customer.name) + customer.id
    for word in words(customer.name):
        yield keys.index("customer-words", customer.team), text(word, customer.id)
    if customer.reference is not None:
        yield keys.index("customer-keys", customer.team), keys.customer_reference(customer.reference) + customer.id
        yield keys.index("customer-references", customer.team), text(fold(customer.reference), customer.id)


def _team(team: Team) -> Iterable[IndexEntry]:
    yield keys.index("teams"), team.slug


def _app(app: App) -> Iterable[IndexEntry]:
    yield keys.index("apps", app.team), app.slug


def _member(member: Member) -> Iterable[IndexEntry]:
    if member.removed_at is None:
        yield keys.index("members", member.team), text(member.email, member.id)


def _personal_token(token: PersonalToken) -> Iterable[IndexEntry]:
    yield keys.index("personal-tokens", token.member), text(token.name, instant(token.created_at) + token.id)


def _service_account(account: ServiceAccount) -> Iterable[IndexEntry]:
    yield keys.index("service-accounts", account.team), text(account.name, account.id)


def _upstream(link: "UpstreamLink") -> Iterable[IndexEntry]:
    yield keys.index("upstreams", link.team), f"{link.app}/{link.name}"


def _webhook(webhook: "Webhook") -> Iterable[IndexEntry]:
    yield keys.index("webhooks", webhook.team), instant(webhook.created_at) + webhook.id


_ENTRIES: Mapping[str, Callable[[Any], Iterable[IndexEntry]]] = {
    "License": _license,
    "Customer": _customer,
    "Team": _team,
    "App": _app,
    "Member": _member,
    "PersonalToken": _personal_token,
    "ServiceAccount": _service_account,
    "UpstreamLink": _upstream,
    "Webhook": _webhook,
}
"""By the name of the record's class, which is unique here: importing all classes would take a command longer than a
list."""
