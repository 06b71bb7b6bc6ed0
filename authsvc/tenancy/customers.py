"""Customers: whom a vendor's licenses are made out to."""

from datetime import datetime

from attrs import frozen


@frozen
class Customer:
    """A customer of a vendor's team.

    A license keeps the name that was written into its file, so another name changes no issued file.

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
