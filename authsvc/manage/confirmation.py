"""Changes that end access for others: what they would end, and the caller's word that this is wanted.

A use case works out what it would end and raises :class:`ConfirmationNeeded` with a sentence for a person. The caller
asks, and calls again with the error's ``mark``. The mark stands for exactly what the sentence named: when the same
change would end something else by then, it is refused and asked about again, so that what was said and what is done
are the same.
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
        included: marks of sentences that say this and more: who confirmed one of them has confirmed this.
    """

    sentence: str
    mark: str
    included: tuple[str, ...] = ()


def require(ends: EndedAccess | None, confirmed: str | None) -> None:
    """Accept a change that ends nothing, or what ``confirmed`` stands for.

    Args:
        ends: what it would end; None if nothing.
        confirmed: the mark of an earlier refusal, or None for a first attempt.

    Raises:
        ConfirmationNeeded: somebody has to confirm it first.
    """
    if ends is not None and confirmed not in {ends.mark, *ends.included}:
        raise ConfirmationNeeded(ends.sentence, ends.mark)


def mark_of(*ends: object) -> str:
    """Return the mark of what would end, which JSON can hold: as short for any number of names."""
    return hashlib.sha256(json.dumps(ends).encode()).hexdigest()[:MARK_LENGTH]
