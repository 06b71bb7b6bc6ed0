"""Confirmation of changes that end access for others.

A use case determines which access it would end and raises :class:`ConfirmationNeeded` with a sentence for the user. The
caller asks the user, and calls again with the error's ``mark``. The mark identifies exactly the access in the sentence:
if the change would end other access by then, it must be confirmed again, so that only what was confirmed is done.
"""

import hashlib
import json

from attrs import frozen

from authsvc.errors import ConfirmationNeeded

MARK_LENGTH = 32
"""Hexadecimal digits."""


@frozen
class EndedAccess:
    """What a change would end.

    Attributes:
        sentence: for a person, with numbers and names.
        mark: of :func:`mark_of`; equal for equal ends.
        included: marks of sentences that include this and more: confirming one of them confirms this.
    """

    sentence: str
    mark: str
    included: tuple[str, ...] = ()


def require(ends: EndedAccess | None, confirmed: str | None) -> None:
    """Accept a change that ends nothing, or only what ``confirmed`` identifies.

    Args:
        ends: what it would end; None if nothing.
        confirmed: the mark of an earlier refusal, or None for a first attempt.

    Raises:
        ConfirmationNeeded: it has to be confirmed first.
    """
    if ends is not None and confirmed not in {ends.mark, *ends.included}:
        raise ConfirmationNeeded(ends.sentence, ends.mark)


def mark_of(*ends: object) -> str:
    """Return the mark of what would end, given as JSON values; its length is fixed."""
    return hashlib.sha256(json.dumps(ends).encode()).hexdigest()[:MARK_LENGTH]
