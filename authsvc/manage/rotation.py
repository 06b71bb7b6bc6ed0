"""What giving a new token does to the older ones of the same license or service account."""

from collections.abc import Sequence
from datetime import datetime

from authsvc.manage.confirmation import EndedAccess, mark_of
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import TokenDigest, live_tokens


def rotation_ends(
    what: str, before: Sequence[TokenDigest], after: Sequence[TokenDigest], now: datetime
) -> EndedAccess | None:
    """Return what a rotation ends although an earlier one promised it more time; None if nothing.

    Args:
        what: whose tokens they are, for a person.
        before: its tokens.
        after: its tokens then.
        now: the present.
    """
    kept = {token.generation: token.ends_at for token in after}
    short = [
        token
        for token in live_tokens(tuple(before), now)
        if token.ends_at is not None and (kept.get(token.generation) or now) < token.ends_at
    ]
    if not short:
        return None
    tokens = " and ".join(
        f"token {token.generation}, which was to work until {render_instant(token.ends_at)}, ends now"
        for token in short
        if token.ends_at is not None
    )
    mark = mark_of(what, [(token.generation, str(token.ends_at)) for token in short])
    return EndedAccess(f"{what} has been rotated already: {tokens}, and any client that still uses it is refused", mark)


def ended(before: Sequence[TokenDigest], after: Sequence[TokenDigest], now: datetime) -> list[int]:
    """Return the generations that logged in before a rotation and do no longer."""
    kept = {token.generation for token in after}
    return [token.generation for token in live_tokens(tuple(before), now) if token.generation not in kept]
