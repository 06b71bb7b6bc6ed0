"""The effect of a rotation on older tokens of the same license or service account."""

from collections.abc import Sequence
from datetime import datetime

from authsvc.manage.confirmation import EndedAccess, mark_of
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import TokenDigest, live_tokens


def rotation_ends(
    what: str, before: Sequence[TokenDigest], after: Sequence[TokenDigest], now: datetime
) -> EndedAccess | None:
    """Return which tokens a rotation ends earlier than a previous rotation promised; None if there are none.

    Args:
        what: describes their holder, for the user.
        before: the tokens before the rotation.
        after: the tokens after the rotation.
        now: the current time.
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
    """Return the generations that were valid before a rotation and are no longer valid."""
    kept = {token.generation for token in after}
    return [token.generation for token in live_tokens(tuple(before), now) if token.generation not in kept]
