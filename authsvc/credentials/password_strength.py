"""Estimates how many guesses a password takes, with zxcvbn (Wheeler, USENIX Security 2016).

A length rule alone accepts ``passwordpassword`` and ``123456789012345``, and lists of common passwords have almost none
with 15 characters. zxcvbn recognises words, names, dates, keyboard patterns, repetitions and letters written as digits.
"""

import math
import re
from collections.abc import Iterable

MAX_CHARACTERS = 72
"""How many characters of a password are estimated. zxcvbn's time grows faster than the length."""

MAX_SPELLINGS = 16
"""Most readings of digits and symbols as letters that are tried in one piece. Each requires a search of all
dictionaries: with all of zxcvbn's substitutes in one text there are 736, which take seconds."""

MIN_NAME = 3
"""Fewest characters of a word in a name that is compared."""


def estimated_guesses(password: str, names: Iterable[str]) -> float:
    """Return the approximate number of guesses that an attacker who knows ``names`` needs to find ``password``.

    The first call loads zxcvbn and its dictionaries, which takes some tenths of a second; the worst passwords take
    about as long again. zxcvbn keeps ``names`` in a module variable, so two calls must not run at once in different
    threads.

    Args:
        password: only its first :data:`MAX_CHARACTERS` count.
        names: texts about the person: the e-mail address, the team, its apps.
    """
    # Imported here because its dictionaries take time to load, and few commands set a password.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # noqa: PLC0415

    words = sorted({word for name in names for word in _words(name)})
    # A password is at least as hard to guess as the hardest of its pieces.
    return max(float(zxcvbn(piece, words)["guesses"]) for piece in _pieces(password[:MAX_CHARACTERS]))


def _words(name: str) -> list[str]:
    """Return a name, the parts of it that are words, and all of them together."""
    lower = name.lower()
    parts = re.split(r"[\W_]+", lower)
    return [word for word in (lower, *parts, "".join(parts)) if len(word) >= MIN_NAME]


def _pieces(text: str) -> list[str]:
    """Split ``text`` into the fewest pieces that each have at most :data:`MAX_SPELLINGS` readings."""
    pieces = [""]
    for character in text:
        longer = pieces[-1] + character
        if _spellings(longer) <= MAX_SPELLINGS:
            pieces[-1] = longer
        else:
            pieces.append(character)
    return pieces


def _spellings(text: str) -> int:
    """Return in how many ways the digits and symbols of ``text`` can be read as letters."""
    from zxcvbn.matching import L33T_TABLE  # type: ignore[import-untyped]  # noqa: PLC0415

    present = set(text)
    return math.prod(max(1, len(present.intersection(substitutes))) for substitutes in L33T_TABLE.values())
