"""Chooses the customer of a license: a known one, or a new one that is created with the license.

A customer is looked up by the vendor's own reference if one is given, else by its exact name. A known customer without
reference or e-mail address gets those that are given.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import evolve

from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.errors import Conflict
from authsvc.manage.changed_fields import changed_fields
from authsvc.manage.operation import Operation
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import Customer, SelectedCustomer
from authsvc.tenancy.versioned import Versioned

T = TypeVar("T")

ATTEMPTS = 4
"""How often a customer is chosen again when another operation creates or changes it concurrently."""


async def choose_customer(
    stores: Stores, team: str, name: str | None, reference: str | None, email: str | None, operation: Operation
) -> SelectedCustomer:
    """Return the customer of a team; ``name`` or ``reference`` is given.

    Raises:
        Conflict: the customer of this name has another reference; or no customer has the reference, and there is no
            name for a new one.
    """
    known = await known_customer(stores, team, name, reference, email)
    apps = operation.actor.apps
    if name is None and apps is not None:
        # The license gets the customer's name, which an actor that is limited to some apps must not find out by a
        # reference.
        customer_id = None if known is None else known.record.id
        known = known if await stores.customers.has_license(team, customer_id, apps) else None
    if known is not None:
        return known
    if name is None:
        raise Conflict(
            f"the team {team!r} has no customer with the reference {reference!r}; give its name too",
            code="customer_not_found",
            field="customer_reference",
        )
    return SelectedCustomer(Customer(new_id(operation.entropy(ID_BYTES)), team, name, operation.now, reference, email))


async def known_customer(
    stores: Stores, team: str, name: str | None, reference: str | None, email: str | None
) -> SelectedCustomer | None:
    """Return the known customer of a team, with the given reference and address if it had none; None if it is new.

    Raises:
        Conflict: the customer of this name has another reference.
    """
    known = None if reference is None else await stores.customers.by_reference(team, reference)
    if known is None and name is not None:
        known = await stores.customers.by_name(team, name)
    return None if known is None else _completed(known, reference, email)


async def with_customer(
    choose: Callable[[], Awaitable[SelectedCustomer]], write: Callable[[SelectedCustomer], Awaitable[T]]
) -> T:
    """Return the result of ``write`` for the chosen customer; choose again if it was created or changed meanwhile.

    Raises:
        Conflict: as ``choose`` and ``write``.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await write(await choose())
        except Conflict as error:
            if not _is_about_the_customer(error):
                raise
    return await write(await choose())


def customer_facts(choice: SelectedCustomer) -> dict[str, object]:
    """Return the facts about the customer for the audit entry of a license."""
    facts: dict[str, object] = {"customer": choice.record.id}
    if choice.before is None:
        facts["customer_created"] = True
    elif changed := changed_fields(choice.before.record, choice.record):
        facts["customer_changed"] = changed
    return facts


def _completed(known: Versioned[Customer], reference: str | None, email: str | None) -> SelectedCustomer:
    customer = known.record
    if reference is not None and customer.reference not in {None, reference}:
        raise Conflict(
            # The sentence does not name it, because not every actor that may create a license may see it.
            f"the customer {customer.name!r} has another reference than {reference!r}",
            code="reference_conflict",
            field="customer_reference",
        )
    completed = evolve(customer, reference=customer.reference or reference, email=customer.email or email)
    return SelectedCustomer(completed, known)


def _is_about_the_customer(error: Conflict) -> bool:
    taken = error.code in {"name_taken", "reference_taken"} and error.field in {"customer", "customer_reference"}
    return taken or error.code == "customer_changed"
