"""How many guesses a password takes, estimated by zxcvbn (Wheeler, USENIX Security 2016).

A length rule alone takes ``passwordpassword`` and ``123456789012345``, and lists of common passwords have almost
nothing of 15 characters. zxcvbn knows words, names, dates, keyboard runs, repetitions and letters written as digits.
"""

import math
import re
from collections.abc import Iterable

MAX_CHARACTERS = 72
"""How much of a password is estimated. zxcvbn's time grows faster than the length."""

MAX_SPELLINGS = 16
"""Most ways of reading digits and symbols as letters that are tried in one piece. Each costs a search of all
dictionaries: with all of zxcvbn's substitutes in one text there are 736, and they take seconds."""

MIN_NAME = 3
"""Characters of a word in a name that is worth a match."""


def estimated_guesses(password: str, names: Iterable[str]) -> float:
    """Return about how many guesses find ``password`` for somebody who knows ``names``.

    Loads zxcvbn and its dictionaries at the first call, which takes some tenths of a second, and takes up to about as
    long again for a password of the worst kind. zxcvbn keeps ``names`` in a variable of its module, so two calls must
    not run at once in different threads.

    Args:
        password: only its first :data:`MAX_CHARACTERS` count.
        names: texts about the person: the e-mail address, the team, its apps.
    """
    # Here, and not above: its dictionaries take time to load, and few commands set a password.
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
    """Return ``text`` in as few pieces as can each be read in at most :data:`MAX_SPELLINGS` ways."""
    pieces = [""]
    for character in text:
        longer = pieces[-1] + character
        if _spellings(longer) <= MAX_SPELLINGS:
            pieces[-1] = longer
        else:
            pieces.append(character)
    return pieces


def _spellings(text: str) -> int:
    """Return in how many ways the digits and symbols of ``text`` can stand for letters."""
    from zxcvbn.matching import L33T_TABLE  # type: ignore[import-untyped]  # noqa: PLC0415

    present = set(text)
    return math.prod(max(1, len(present.intersection(substitutes))) for substitutes in L33T_TABLE.values())
