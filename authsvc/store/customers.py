"""Customers in Redis: by id, by exact name and reference within a team, and by words of the name."""

from collections.abc import Sequence

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.credentials.machine_secret import ID_LENGTH
from authsvc.store import keys
from authsvc.store.indexes import entries_of, id_of
from authsvc.store.lists import List, Range, one_range
from authsvc.store.ordered_index import end_of
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.transaction import Transaction
from authsvc.tenancy.customers import Customer, SelectedCustomer
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import License
from authsvc.tenancy.search import fold, has_words, indexed, words
from authsvc.tenancy.versioned import Versioned

NAME_TAKEN = "the team {team!r} has a customer {text!r} already"
REFERENCE_TAKEN = "the team {team!r} has a customer with the reference {text!r} already"

NOBODY = "-" * ID_LENGTH
"""Placeholder for the id of a customer that does not exist."""

FEW = 4
"""Licenses that are read together: the first one is nearly always sufficient."""

OWN_FIELDS, LICENSE_FIELDS = ("name", "reference"), ("customer", "customer_reference")
"""Arguments that stand for a customer's name and reference, of its own and in a license."""


@frozen(eq=False, repr=False)
class RedisCustomers:
    """The customers of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, customer_id: str) -> Versioned[Customer] | None:
        """Return the customer."""
        return await self.records.get(keys.customer(customer_id), Customer)

    async def by_name(self, team: str, name: str) -> Versioned[Customer] | None:
        """Return the customer of a team with exactly this name."""
        return await self._by_key(team, keys.customer_name(name))

    async def by_reference(self, team: str, reference: str) -> Versioned[Customer] | None:
        """Return the customer of a team with exactly this reference."""
        return await self._by_key(team, keys.customer_reference(reference))

    async def page(
        self,
        team: str,
        wanted: Sequence[str],
        reference: str | None,
        after: str | None,
        limit: int,
        apps: frozenset[str] | None = None,
    ) -> Page[Customer]:
        """Return one page of a team's customers that are not archived.

        Args:
            team: slug.
            wanted: folded words, each of which begins a word of the name; empty for every name, by name.
            reference: folded beginning of the reference, or None; with it the list is by reference.
            after: cursor of the previous page, or None.
            limit: most items.
            apps: only customers with a license of one of these apps; None for no such limit.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        if reference is not None:
            prefix = indexed(reference)
            part = Range("", keys.index("customer-references", team), prefix, end_of(prefix))
        elif wanted:
            prefix = driving_word(wanted)
            part = Range("", keys.index("customer-words", team), prefix, end_of(prefix))
        else:
            part = Range("", keys.index("customers", team))

        async def keep(customer: Customer, entry: str) -> bool:
            if customer.archived_at is not None:
                return False
            if reference is not None:
                found = fold(customer.reference or "").startswith(reference) and has_words(customer.name, tuple(wanted))
            else:
                found = not wanted or finds(customer, wanted, entry)
            return found and (apps is None or await self.has_license(team, customer.id, apps))

        listed: List[Customer] = List(self.records, Customer, keys.customer)
        query = f"customers {(team, tuple(wanted), reference, None if apps is None else sorted(apps))!r}"
        return await listed.page(query, lambda _: one_range(part), after, limit, keep)

    async def add(self, customer: Customer, entry: Entry) -> None:
        """Store a new customer.

        Raises:
            Conflict: another one of the team has the name or the reference.
        """
        change = self.records.change(entry, customer.id)
        put_new_customer(change, self.records, customer)
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[Customer], new: Customer, entry: Entry) -> None:
        """Store a changed customer.

        Raises:
            Conflict: it is no longer equal to ``old``, or another one of the team has the new name or reference.
        """
        change = self.records.change(entry, new.id)
        put_changed_customer(change, self.records, old, new)
        await change.apply(self.records.connection)

    async def has_license(self, team: str, customer_id: str | None, apps: frozenset[str]) -> bool:
        """Whether a customer of a team has a license, in whatever state, of one of ``apps``.

        A customer that does not exist (None) takes the same reads.
        """
        for app in sorted(apps):
            if await self._has_license_of(team, app, customer_id or NOBODY):
                return True
        return False

    async def _has_license_of(self, team: str, app: str, customer_id: str) -> bool:
        index, after = keys.index("app-customers", app), customer_id
        while entries := await self.records.indexes.entries(index, after=after, before=end_of(customer_id), limit=FEW):
            raws = await self.records.connection.get_all(*(keys.license_(id_of(entry)) for entry in entries))
            licenses = (self.records.readable(raw, License) for raw in raws if raw is not None)
            # A license that an older authsvc has changed may have another customer by now.
            if any(one is not None and (one.team, one.customer_id) == (team, customer_id) for one in licenses):
                return True
            after = entries[-1]
        return False

    async def _by_key(self, team: str, unique: str) -> Versioned[Customer] | None:
        entry = await self.records.indexes.first(keys.index("customer-keys", team), unique)
        return None if entry is None else await self.get(id_of(entry))


def put_new_customer(
    change: Transaction, records: Records, customer: Customer, named: tuple[str, str] = OWN_FIELDS
) -> None:
    """Add to ``change`` a new customer, refused when another one of the team has the name or the reference.

    ``named`` are the arguments that errors name for the two.
    """
    change.expect_absent(keys.customer(customer.id), CHANGED_MEANWHILE)
    _expect_unique(change, customer, None, named)
    change.put(keys.customer(customer.id), records.codec.encode(customer))
    change.index(entries_of(customer))


def put_changed_customer(
    change: Transaction,
    records: Records,
    old: Versioned[Customer],
    new: Customer,
    named: tuple[str, str] = OWN_FIELDS,
) -> None:
    """Add to ``change`` a changed customer, refused for the same reasons, or when it is no longer equal to ``old``."""
    change.expect(keys.customer(new.id), old.version, CHANGED_MEANWHILE, "customer_changed")
    _expect_unique(change, new, old.record, named)
    change.put(keys.customer(new.id), records.codec.encode_change(old.version, new))
    change.index(entries_of(new), entries_of(old.record))


def put_choice(change: Transaction, records: Records, choice: SelectedCustomer) -> None:
    """Add to ``change`` the customer of a license, if it is new or changed; customers are never deleted."""
    if choice.before is None:
        put_new_customer(change, records, choice.record, LICENSE_FIELDS)
    elif choice.record != choice.before.record:
        put_changed_customer(change, records, choice.before, choice.record, LICENSE_FIELDS)


def driving_word(wanted: Sequence[str]) -> str:
    """Return the folded word to search an index for: the longest one, which has the fewest matches."""
    return indexed(max(wanted, key=len))


def finds(customer: Customer, wanted: Sequence[str], entry: str) -> bool:
    """Whether ``entry`` of the index of words is the one under which a customer is listed: its first word that fits."""
    first = next((word for word in words(customer.name) if word.startswith(driving_word(wanted))), None)
    listed = first is not None and entry == f"{indexed(first)}\0{customer.id}"
    return listed and has_words(customer.name, tuple(wanted))


def _expect_unique(change: Transaction, customer: Customer, before: Customer | None, named: tuple[str, str]) -> None:
    index = keys.index("customer-keys", customer.team)
    if before is None or customer.name != before.name:
        taken = NAME_TAKEN.format(team=customer.team, text=customer.name)
        change.expect_unlisted(index, keys.customer_name(customer.name), taken, code="name_taken", field=named[0])
    if customer.reference is not None and (before is None or customer.reference != before.reference):
        taken = REFERENCE_TAKEN.format(team=customer.team, text=customer.reference)
        unique = keys.customer_reference(customer.reference)
        change.expect_unlisted(index, unique, taken, code="reference_taken", field=named[1])
