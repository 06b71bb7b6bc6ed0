"""The pages to find, list and change customers and their licenses."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from attrs import frozen

from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.activity import Activity
from authsvc.manage.activity_view import LicenseUse
from authsvc.manage.actor import Actor
from authsvc.manage.customers import Customers
from authsvc.manage.licenses import Licenses
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.tenancy.license_filter import STATES
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import License
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import ShownState, shown_state
from authsvc.web.portal.route import PREFIX, Route

CUSTOMERS = f"{PREFIX}/customers"

SOON = "ends-soon"
"""The choice of licenses that end within 30 days."""


@frozen
class ListedLicense:
    """A license in a list.

    Attributes:
        license: the record.
        state: in words.
        use: its activity.
    """

    license: License
    state: ShownState
    use: LicenseUse


@frozen(eq=False, repr=False)
class CustomerPages:
    """Lists of licenses, and the page of a customer.

    Attributes:
        teams: lists the apps.
        customers: shows and changes them.
        licenses: lists them.
        activity: says what they did.
    """

    teams: Teams
    customers: Customers
    licenses: Licenses
    activity: Activity

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/customers", self.list, Permission.LICENSE_LIST),
            Route("GET", "/customers/{customer}", self.show, Permission.CUSTOMER_SHOW),
            Route("POST", "/customers/{customer}", self.change, Permission.CUSTOMER_SET),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the filtered licenses, oldest first; without a filter all but archived ones."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        chosen = {name: visit.query.get(name, "").strip() for name in ("text", "by", "state", "app")}
        values: dict[str, Any] = {"apps": apps, "chosen": chosen, "states": STATES}
        try:
            page = await self._found(visit, chosen)
        except (InputRefused, NotFound) as error:
            values |= {"rows": (), "next": None, "error": str(error)}
            return PageAnswer("customers", values, status_of(error))
        values |= {"rows": await rows_of(self.activity, visit.actor, page.items, visit.now), "next": page.next}
        return PageAnswer("customers", values)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show a customer with all licenses."""
        return await self._customer(visit)

    async def change(self, visit: Visit) -> PortalAnswer:
        """Change name, reference and address."""
        fields = {name: visit.form.get(name, "").strip() for name in ("name", "reference", "email")}
        try:
            customer = await self.customers.set(visit.names["customer"], visit.operation(), **fields)
        except (InputRefused, Conflict) as error:
            return await self._customer(visit, str(error), status_of(error))
        return RedirectAnswer(f"{CUSTOMERS}/{customer.id}?done=changed")

    async def _found(self, visit: Visit, chosen: dict[str, str]) -> Page[License]:
        """Return one page of licenses: by words of the customer's name, or by the beginning of the reference."""
        soon, text = chosen["state"] == SOON, chosen["text"] or None
        by_reference = chosen["by"] == "reference"
        return await self.licenses.list(
            visit.actor,
            visit.now,
            app=chosen["app"] or None,
            customer=None if by_reference else text,
            reference=text if by_reference else None,
            state=None if soon else chosen["state"] or None,
            ends_within="30d" if soon else None,
            after=visit.query.get("after"),
        )

    async def _customer(self, visit: Visit, error: str | None = None, status: HTTPStatus = HTTPStatus.OK) -> PageAnswer:
        customer = await self.customers.show(visit.actor, visit.names["customer"])
        page = await self.customers.licenses(visit.actor, customer.id, visit.now, after=visit.query.get("after"))
        summary = await self.activity.customer(visit.actor, customer.id, visit.now)
        values = {
            "customer": customer,
            "rows": await rows_of(self.activity, visit.actor, page.items, visit.now),
            "next": page.next,
            "summary": summary,
            "error": error,
            "notice": "The customer was changed." if visit.query.get("done") == "changed" else None,
        }
        return PageAnswer("customer", values, status)


async def rows_of(
    activity: Activity, actor: Actor, licenses: Sequence[License], now: datetime
) -> tuple[ListedLicense, ...]:
    """Return licenses as a list shows them."""
    uses = await activity.licenses(actor, licenses, now)
    return tuple(ListedLicense(one, shown_state(one, now), use) for one, use in zip(licenses, uses, strict=True))
