"""Text as a search compares it: without case, accents and width, whole or word by word.

Every comparison is with the beginning of a text or of a word, so that an ordered index can answer it.
"""

import re
import unicodedata

INDEXED_BYTES = 36
"""Longest text in an index, in bytes of UTF-8: with an instant and an id, an entry has at most 64 bytes, and Redis
stores small sorted sets of such entries in a quarter of the memory."""

_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Return ``text`` in comparable form: without case, accents, or a difference between full and half width.

    The folded form of a prefix of a text is a prefix of its folded form.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


def words(text: str) -> tuple[str, ...]:
    """Return the different words of ``text``, folded and sorted: runs of letters and digits."""
    return tuple(sorted(set(_WORD.findall(fold(text)))))


def indexed(folded: str) -> str:
    """Return the part of a folded text that is indexed: whole letters of at most :data:`INDEXED_BYTES` bytes."""
    raw = folded.encode()
    return folded if len(raw) <= INDEXED_BYTES else raw[:INDEXED_BYTES].decode(errors="ignore")


def has_words(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether each of the folded words ``wanted`` is a prefix of a word of ``text``."""
    present = words(text)
    return all(any(word.startswith(one) for word in present) for one in wanted)
