"""Parameters and parts of answers that several endpoints share, and their errors."""

from collections.abc import Iterable
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from authsvc.tenancy.pages import MAX_CURSOR, MAX_PAGE
from authsvc.tenancy.records import TokenDigest
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.schemas import Instant, Span

Cursor = Annotated[str, Meta(min_length=1, max_length=MAX_CURSOR)]
"""The position at which a page of a list begins."""


@frozen
class PageQuery:
    """Selects a page of a list.

    Attributes:
        limit: largest number of items on the page.
        after: the `next` of the previous page, with the same filters; left out for the first page.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = MAX_PAGE
    after: Cursor | None = None


@frozen
class ConfirmQuery:
    """Confirms a change, if that is necessary.

    Attributes:
        confirm: the `mark` of a `confirmation_needed` answer, to confirm what its `detail` says.
    """

    confirm: str | None = None


@frozen
class TokenView:
    """A valid token, without its secret.

    Attributes:
        generation: 1 for the first one; each rotation creates the next.
        ends_at: when it stops working, or null.
    """

    generation: int
    ends_at: Instant | None


@frozen
class TokenRotation:
    """How a token is replaced.

    Attributes:
        overlap: how long the old one continues to work, such as `24h`, `30m` or `7d`; `0` ends it at once.
    """

    overlap: Span = "24h"


def token_views(tokens: Iterable[TokenDigest]) -> tuple[TokenView, ...]:
    """Return tokens as the API shows them."""
    return tuple(TokenView(token.generation, token.ends_at) for token in tokens)


PAGE_ERRORS = ApiErrors(refused=("limit_invalid", "cursor_invalid"))
CONFIRM_ERRORS = ApiErrors(conflict=("confirmation_needed",))
