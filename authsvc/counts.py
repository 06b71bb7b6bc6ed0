"""Numbers with their nouns: ``1 license``, ``2,001 licenses``."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    Args:
        number: how many.
        one: the words behind the number 1.
        many: the words behind every other number; by default ``one`` with an s.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
