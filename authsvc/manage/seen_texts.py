"""A dictionary from texts to numbers that takes 20 to 40 bytes for each, whatever the length of the texts.

Python's own takes about 130 bytes for the digest of a text, which would let the memory of an import grow with its file.
This one is a table of digests and numbers in two arrays, in which a text is at the first free place from that of its
digest on ("open addressing").
"""

import hashlib
from array import array

_FULL = 0.8
"""Share of the places that are used before the table is enlarged."""


def text_digest(text: str) -> int:
    """Return a number of 64 bits for a text of a file; among 100,000 texts, two have the same once in 10^9 files."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


class SeenTexts:
    """Numbers of 64 bits by texts, of which only digests are kept."""

    def __init__(self) -> None:
        """Begin with no text."""
        self._digests, self._numbers, self._used = _zeros(64), _zeros(64), 0

    def setdefault(self, text: str, number: int) -> int:
        """Return the number of a text, which is ``number`` if it had none."""
        digest = text_digest(text)
        place = self._place(digest)
        if self._digests[place]:
            return self._numbers[place]
        if self._used >= _FULL * len(self._digests):
            self._enlarge()
            place = self._place(digest)
        self._digests[place], self._numbers[place] = digest, number
        self._used += 1
        return number

    def _place(self, digest: int) -> int:
        """Return where a digest is, or the free place where it belongs."""
        digests, size = self._digests, len(self._digests)
        place = digest % size
        while digests[place] and digests[place] != digest:
            place = (place + 1) % size
        return place

    def _enlarge(self) -> None:
        known = zip(self._digests, self._numbers, strict=True)
        size = 2 * len(self._digests)
        self._digests, self._numbers = _zeros(size), _zeros(size)
        for digest, number in known:
            if digest:
                place = self._place(digest)
                self._digests[place], self._numbers[place] = digest, number


def _zeros(count: int) -> "array[int]":
    return array("Q", [0]) * count
