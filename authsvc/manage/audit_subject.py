"""Finds the subjects of audit entries by the names that users give: subjects, ids, addresses, references and names."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.entry import ON_BEHALF_OF
from authsvc.audit.entry_words import MANY, UNPROVEN
from authsvc.audit.stored_entry import StoredEntry
from authsvc.credentials.machine_secret import is_id
from authsvc.errors import InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.manage.lookup import find_customer, find_license, find_member, find_service_account
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.names import parse_email
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.tenancy.subjects import SYSTEM, split_subject

MAX_TEXT = 200
"""Most characters of the name of a subject."""

MAX_LICENSES = 20
"""Most licenses of a customer that are searched for, the newest; decisions on others are found by the customer's
name."""

CUSTOMER = "customer"

KINDS: Mapping[str, str] = {
    "member": "member",
    "license": "license",
    "service_account": "service-account",
    "customer": CUSTOMER,
    "token": "token",
}
"""Facts that name the subject of a change, with its kind."""


@frozen
class AuditSubject:
    """One of several subjects; any subject when it is empty.

    Attributes:
        subjects: each ``KIND:ID``, or only an id; ``license:ID,ID`` stands for all of these licenses.
        email: of a member, as in the credential of a decision.
        customer: name, as in the credential of a decision on a license.
        team: slug of the customer's team.
        apps: slugs of its apps, for entries that name no team; None for an actor who sees no entries of other teams.
    """

    subjects: tuple[str, ...] = ()
    email: str | None = None
    customer: str | None = None
    team: str | None = None
    apps: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.subjects or self.email)

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of which an entry about one of the subjects has at least one."""
        ids = (subject.rpartition(":")[2].partition(",")[0] for subject in self.subjects)
        return (*ids, *(text for text in (self.email, self.customer) if text is not None))

    def is_actor_of(self, entry: StoredEntry) -> bool:
        """Whether one of them is the actor of an entry."""
        return self._is_among(_actors(entry.facts)) or self._is_member_of(entry.facts)

    def is_named_in(self, entry: StoredEntry) -> bool:
        """Whether an entry is about one of them: as the actor, the changed record, or an example of many."""
        facts = entry.facts
        if self._is_among(_subjects(facts)) or self._is_member_of(facts):
            return True
        return self.customer is not None and any(self._is_of_customer(one, entry.team) for one in _licenses(facts))

    def _is_of_customer(self, license_: Mapping[str, Any], team: str) -> bool:
        """Whether a license is the customer's: those of other teams may have the same name."""
        owned = team == self.team if team else self.apps is None or license_.get("app") in self.apps
        return owned and license_.get("customer") == self.customer

    def _is_among(self, names: set[str]) -> bool:
        found = [set(split_subject(name)) for name in names]
        ids = [{one.rpartition(":")[2] for one in each} for each in found]
        return any(
            any(set(split_subject(subject)) <= each for each in found)
            if ":" in subject
            else any(set(subject.split(",")) <= each for each in ids)
            for subject in self.subjects
        )

    def _is_member_of(self, facts: Mapping[str, Any]) -> bool:
        if self.email is None:
            return False
        person = facts.get(ON_BEHALF_OF)
        behalf = person.get("email") if isinstance(person, Mapping) else None
        return self.email in {(facts.get("credential") or {}).get("member"), behalf}


async def find_subject(
    stores: Stores, actor: Actor, text: str, now: datetime, field: str, team: str | None = None
) -> AuditSubject:
    """Return the subjects that ``text`` names.

    Args:
        stores: the records.
        actor: the caller; only names and references that it sees are found.
        text: ``license:ID``, ``member:ID``, ``service-account:ID``, ``customer:ID``, ``token:ID`` or an id alone; a
            member's e-mail address; a license's or a customer's reference; a customer's name; or a service account's.
        now: the current time.
        field: the argument that errors name.
        team: slug, for the names and references of an actor without a team; None for the actor's own.

    Raises:
        InputRefused: it is empty or too long.
        NotFound: nothing has this name for the actor.
        Conflict: licenses of several apps have the reference.
    """
    if found := plain_subject(text, field):
        return found
    if is_id(text.removeprefix(f"{CUSTOMER}:")):
        return await _of_id(stores, actor, text, now)
    if "@" in text:
        return await _of_address(stores, actor, text)
    return await _of_name(stores, actor, text, now, field, team)


def plain_subject(text: str, field: str) -> AuditSubject | None:
    """Return the subject that ``text`` names, if no record is needed for that, and None otherwise.

    Raises:
        InputRefused: it is empty or too long; ``field`` is the argument that the error names.
    """
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise InputRefused(
            f"{field}: write 1 to {MAX_TEXT} characters, such as license:ID, an e-mail address or a reference",
            code="subject_invalid",
            field=field,
        )
    kind, colon, _ = text.partition(":")
    ids = text.split(",")
    is_plain = (
        text in {SYSTEM, MANY, UNPROVEN}
        or (colon and kind in {*KINDS.values()} - {CUSTOMER})
        or (len(ids) > 1 and all(map(is_id, ids)))
    )
    return AuditSubject((text,)) if is_plain else None


async def _of_id(stores: Stores, actor: Actor, text: str, now: datetime) -> AuditSubject:
    """Return the record with this id; for a customer its licenses, too."""
    try:
        customer = (await find_customer(stores, actor, text.removeprefix(f"{CUSTOMER}:"))).record
    except NotFound:
        return AuditSubject((text,))
    return await _of_customer(stores, actor, customer, now)


async def _of_address(stores: Stores, actor: Actor, text: str) -> AuditSubject:
    """Return the member with this address; entries of decisions contain the address, even that of a removed member."""
    email, ids = parse_email(text), tuple[str, ...]()
    if actor.may(Permission.MEMBER_SHOW):
        with suppress(NotFound):
            ids = ((await find_member(stores, actor, email)).record.subject,)
    return AuditSubject(ids, email)


async def _of_name(
    stores: Stores, actor: Actor, text: str, now: datetime, field: str, team: str | None
) -> AuditSubject:
    with suppress(NotFound):
        return AuditSubject(((await find_license(stores, actor, text)).record.subject,))
    with suppress(NotFound):
        return await _of_customer(stores, actor, (await find_customer(stores, actor, text, team)).record, now)
    if actor.may(Permission.SERVICE_ACCOUNT_SHOW):
        with suppress(NotFound):
            return AuditSubject(((await find_service_account(stores, actor, text, team)).record.subject,))
    raise NotFound(
        f"nothing is named {text[:80]!r}: neither a license nor a customer nor a service account; write license:ID, "
        "member:ID, service-account:ID, an e-mail address or a reference",
        code="subject_not_found",
        field=field,
    )


async def _of_customer(stores: Stores, actor: Actor, customer: Customer, now: datetime) -> AuditSubject:
    wanted = LicenseFilter(team=customer.team, apps=actor.apps, customer_id=customer.id)
    page = await stores.licenses.page(wanted, None, MAX_PAGE, now)
    licenses = (license_.subject for license_ in page.items[-MAX_LICENSES:])
    apps = None if actor.team else frozenset(app.slug for app in await stores.apps.of_team(customer.team))
    return AuditSubject((f"customer:{customer.id}", *licenses), None, customer.name, customer.team, apps)


def _actors(facts: Mapping[str, Any]) -> set[str]:
    """Return the actor, and the person on whose behalf the operator acted."""
    person = facts.get(ON_BEHALF_OF)
    behalf = {f"member:{person['member']}"} if isinstance(person, Mapping) and "member" in person else set()
    return {str(facts["actor"]), *behalf}


def _subjects(facts: Mapping[str, Any]) -> set[str]:
    """Return the subjects that an entry is about."""
    examples = (str(example.get("actor")) for example in facts.get("examples", ()))
    return {*_actors(facts), *examples, *changed_subjects(facts)}


def changed_subjects(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the subjects that a change is about."""
    return tuple(f"{kind}:{facts[name]}" for name, kind in KINDS.items() if name in facts)


def _licenses(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the licenses in the credential of a decision."""
    credential = facts.get("credential") or {}
    return [credential, *(one for one in credential.get("licenses", ()) if isinstance(one, Mapping))]
