"""Query parameters that several endpoints have, and the errors that come with them."""

from typing import Annotated

from attrs import frozen
from msgspec import Meta

from authsvc.tenancy.pages import MAX_PAGE
from authsvc.web.api.api_errors import ApiErrors


@frozen
class PageQuery:
    """Which page of a list.

    Attributes:
        limit: most items of the page.
        after: the `next` of the page before, with the same filters; left out for the first page.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = MAX_PAGE
    after: str | None = None


@frozen
class ConfirmQuery:
    """A change that may have to be confirmed.

    Attributes:
        confirm: the `mark` of the answer `confirmation_needed`, to confirm what its `detail` says.
    """

    confirm: str | None = None


PAGE_ERRORS = ApiErrors(refused=("limit_invalid", "cursor_invalid"))
CONFIRM_ERRORS = ApiErrors(conflict=("confirmation_needed",))
