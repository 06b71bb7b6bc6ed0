"""Customers in the management API: ``/customers``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen
from msgspec import UNSET, UnsetType

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.customers import Customer
from authsvc.web.api import license_endpoints
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, created, found
from authsvc.web.api.licenses import LicenseView, license_page
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Email, Instant, Line


@frozen
class CustomerView:
    """A holder of licenses.

    Attributes:
        id: never changes.
        team: slug of the vendor.
        name: unique in the team.
        reference: the vendor's own key for the customer, unique in the team, or null.
        email: in lower case, or null.
        created_at: when it was created.
        archived_at: since when it is hidden from lists, or null.
    """

    id: str
    team: str
    name: str
    reference: str | None
    email: str | None
    created_at: Instant
    archived_at: Instant | None


@frozen
class NewCustomer:
    """A customer to be created.

    Attributes:
        name: unique in the team.
        reference: the vendor's own key for the customer, such as a CRM number; unique in the team.
        email: the customer's address.
    """

    name: Line
    reference: Line | None = None
    email: Email | None = None


@frozen
class CustomerChange:
    """Changes to a customer; what is left out stays (as in RFC 7396).

    Attributes:
        name: the new name; licenses and their files keep the old one.
        reference: the new key; null removes it.
        email: the new address; null removes it.
    """

    name: Line | UnsetType = UNSET
    reference: Line | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET


@frozen
class CustomerListQuery(PageQuery):
    """Selects customers.

    Attributes:
        text: words of the name, or their beginnings, in any order; case and accents are ignored.
        reference: the customer's reference, or its beginning; case and accents are ignored, and the list is sorted by
            reference.
    """

    text: Line | None = None
    reference: Line | None = None


def customer_view(customer: Customer) -> CustomerView:
    """Return a customer as the API shows it."""
    return CustomerView(
        id=customer.id,
        team=customer.team,
        name=customer.name,
        reference=customer.reference,
        email=customer.email,
        created_at=customer.created_at,
        archived_at=customer.archived_at,
    )


async def _list(use_cases: UseCases, call: Call[CustomerListQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.customers.list(
        call.actor, call.team, text=query.text, reference=query.reference, after=query.after, limit=query.limit
    )
    return ListAnswer(tuple(map(customer_view, page.items)), page.next)


async def _create(use_cases: UseCases, call: Call[NoQuery, NewCustomer]) -> ObjectAnswer:
    wanted = call.body
    customer = await use_cases.customers.create(call.team, wanted.name, call.operation, wanted.reference, wanted.email)
    return created(customer, customer_view(customer), "customers", customer.id)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    customer = await use_cases.customers.show(call.actor, call.path["customer"])
    return found(customer, customer_view(customer))


async def _change(use_cases: UseCases, call: Call[NoQuery, CustomerChange]) -> ObjectAnswer:
    wanted = call.body
    customer = await use_cases.customers.set(
        call.path["customer"],
        call.operation,
        name=None if wanted.name is UNSET else wanted.name,
        reference=None if wanted.reference is UNSET else wanted.reference or "",
        email=None if wanted.email is UNSET else wanted.email or "",
    )
    return found(customer, customer_view(customer))


async def _licenses(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.customers.licenses(
        call.actor, call.path["customer"], call.now, after=query.after, limit=query.limit
    )
    return await license_page(use_cases, call, page)


EXAMPLE = CustomerView(
    id="7h2m4k9q1wz8x3tb",
    team="acme",
    name="Acme Corp",
    reference="crm-4711",
    email="it@acme-corp.com",
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
    archived_at=None,
)

ONE = ApiErrors(not_found=("customer_not_found",))
"""Errors of every endpoint that names a customer."""

NAMES = ApiErrors(
    refused=("length_invalid", "text_not_printable", "email_invalid"), conflict=("name_taken", "reference_taken")
)
"""Errors of a customer's attributes."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/customers", "listCustomers", "List customers, by name"),
        *(Permission.CUSTOMER_LIST, _list, CustomerView),
        is_list=True,
        errors=PAGE_ERRORS | ApiErrors(refused=("search_empty", "length_invalid", "text_not_printable")),
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/customers", "createCustomer", "Create a customer"),
        *(Permission.CUSTOMER_CREATE, _create, CustomerView),
        status=HTTPStatus.CREATED,
        has_etag=True,
        errors=NAMES,
        request_example={"name": "Acme Corp", "reference": "crm-4711"},
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("GET", "/customers/{customer}", "getCustomer", "Read a customer"),
        *(Permission.CUSTOMER_SHOW, _show, CustomerView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/customers/{customer}", "changeCustomer", "Change a customer"),
        *(Permission.CUSTOMER_SET, _change, CustomerView),
        has_etag=True,
        if_match=True,
        errors=ONE | NAMES,
        request_example={"name": "Acme Corporation"},
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("GET", "/customers/{customer}/licenses", "listCustomerLicenses", "List the licenses of a customer"),
        *(Permission.CUSTOMER_LICENSES, _licenses, LicenseView),
        is_list=True,
        errors=ONE | PAGE_ERRORS,
        answer_example=license_endpoints.EXAMPLE,
        description="In the order of creation, without archived ones.",
    ),
)
