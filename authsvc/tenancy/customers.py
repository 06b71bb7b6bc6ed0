"""Customers: the holders of a vendor's licenses."""

from datetime import datetime

from attrs import frozen

from authsvc.tenancy.versioned import Versioned


@frozen
class Customer:
    """A customer of a vendor's team.

    A license keeps the name that was written into its file, so renaming a customer does not change issued files.

    Attributes:
        id: never reused.
        team: slug of the vendor.
        name: one line of text, unique in the team.
        created_at: aware.
        reference: the vendor's own key for the customer, unique in the team, or None.
        email: canonical form, or None.
        archived_at: since when the customer is hidden from lists, or None.
    """

    id: str
    team: str
    name: str
    created_at: datetime
    reference: str | None = None
    email: str | None = None
    archived_at: datetime | None = None


@frozen
class SelectedCustomer:
    """The customer of a new or changed license, as it is written together with the license.

    Attributes:
        record: the customer.
        before: as it was read; None if it is new.
    """

    record: Customer
    before: Versioned[Customer] | None = None

    @property
    def is_new(self) -> bool:
        """Whether the customer is created with the license."""
        return self.before is None
