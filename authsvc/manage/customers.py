"""Customers: the holders of a vendor's licenses."""

from datetime import datetime

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.idempotency import repeatable
from authsvc.manage.lookup import find_customer, find_team
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.license_filter import LicenseFilter, parse_reference, parse_words
from authsvc.tenancy.names import parse_email, parse_text
from authsvc.tenancy.pages import Page, page_size
from authsvc.tenancy.records import License


@frozen(eq=False, repr=False)
class Customers:
    """Creates, changes and finds customers. An actor that is limited to some apps sees those with a license of them.

    Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
    """

    stores: Stores

    async def _first(self, customer_id: str, operation: Operation) -> Customer:
        return (await find_customer(self.stores, operation.actor, customer_id)).record

    @permitted(Permission.CUSTOMER_LIST)
    async def list(
        self,
        actor: Actor,
        team: str,
        *,
        text: str | None = None,
        reference: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Customer]:
        """Return one page of a team's customers, by name; archived ones are left out.

        Args:
            actor: the caller.
            team: slug.
            text: words, or beginnings of words, of the name, in any order; case and accents are ignored.
            reference: the customer's reference, or its beginning; with it the list is ordered by reference.
            after: cursor of the previous page, or None.
            limit: most items, up to 100.

        Raises:
            InputRefused: something is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such team for the actor.
        """
        owner = await find_team(self.stores, actor, team)
        words, beginning = parse_words(text, "text"), parse_reference(reference)
        return await self.stores.customers.page(owner.slug, words, beginning, after, page_size(limit), actor.apps)

    @permitted(Permission.CUSTOMER_SHOW)
    async def show(self, actor: Actor, customer: str, team: str | None = None) -> Customer:
        """Return one customer, archived or not.

        Args:
            actor: the caller.
            customer: id; within ``team`` also the reference, or the exact name.
            team: slug; None for the actor's own.

        Raises:
            NotFound: there is no such customer for the actor.
        """
        return (await find_customer(self.stores, actor, customer, team)).record

    @permitted(Permission.CUSTOMER_LICENSES)
    async def licenses(
        self,
        actor: Actor,
        customer: str,
        now: datetime,
        team: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[License]:
        """Return one page of a customer's licenses that are not archived, by creation.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such customer for the actor.
        """
        found = (await find_customer(self.stores, actor, customer, team)).record
        wanted = LicenseFilter(team=found.team, apps=actor.apps, customer_id=found.id)
        return await self.stores.licenses.page(wanted, after, page_size(limit), now)

    @permitted(Permission.CUSTOMER_CREATE)
    @repeatable(_first)
    async def create(
        self, team: str, name: str, operation: Operation, reference: str | None = None, email: str | None = None
    ) -> Customer:
        """Return a new customer of a team.

        Raises:
            InputRefused: the name, the reference or the address is not acceptable.
            NotFound: there is no such team for the actor.
            Conflict: another customer of the team has the name or the reference.
        """
        owner = await find_team(self.stores, operation.actor, team)
        customer = Customer(
            id=new_id(operation.entropy(ID_BYTES)),
            team=owner.slug,
            name=parse_text(name, "name"),
            created_at=operation.now,
            reference=None if reference is None else parse_text(reference, "reference"),
            email=None if email is None else parse_email(email),
        )
        entry = operation.entry("customer.created", customer=customer.id, team=customer.team)
        await self.stores.customers.add(customer, entry)
        return customer

    @permitted(Permission.CUSTOMER_SET)
    @repeatable(_first)
    async def set(
        self,
        customer: str,
        operation: Operation,
        team: str | None = None,
        *,
        name: str | None = None,
        reference: str | None = None,
        email: str | None = None,
    ) -> Customer:
        """Change a customer's name, reference or address, and return it; licenses and their files keep the old name.

        Args:
            customer: as for :meth:`show`.
            operation: the change.
            team: as for :meth:`show`.
            name: the new name, or None to keep it.
            reference: the new reference, empty to remove it, or None to keep it.
            email: the new address, empty to remove it, or None to keep it.

        Raises:
            InputRefused: the name, the reference or the address is not acceptable.
            NotFound: there is no such customer for the actor.
            Conflict: another customer of the team has the name or the reference, or it was changed concurrently.
        """
        stored = await find_customer(self.stores, operation.actor, customer, team)
        operation.require_match(stored.record)
        old = stored.record
        new = evolve(
            old,
            name=old.name if name is None else parse_text(name, "name"),
            reference=old.reference if reference is None else parse_text(reference, "reference") if reference else None,
            email=old.email if email is None else parse_email(email) if email else None,
        )
        if new != old:
            entry = operation.entry_of_change("customer.changed", old, new, customer=new.id, team=new.team)
            await self.stores.customers.replace(stored, new, entry)
        return new
