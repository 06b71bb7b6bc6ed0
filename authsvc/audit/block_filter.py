"""Bloom filters of the audit: each says which terms the entries of a block, a few hundred in a row, do not have.

A list of one actor's entries, or a search for a request id, reads only blocks that may have the searched texts; one
block in some hundred is read for nothing. A term is a part of a JSON string between colons, commas, slashes and
spaces: an id, an event, an app, an e-mail address, a word of a name.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from attrs import define, field

from authsvc.audit.request_ids import ID_BYTES, unpacked
from authsvc.audit.selection import EntrySelection

FILTER_BYTES = 1024
"""Bytes of one filter."""

MAX_TERMS, MAX_ENTRIES = 600, 256
"""Terms and entries with which a block is full: with 600 terms, one in 350 others seems to be there, too."""

HASHES = 5
"""Bits of a term."""

VERSION = "1"
"""Of everything here that decides which bits an entry sets; a filter of another version rules out nothing."""

REPEATS = "\0repeats"
"""Term of an entry about several refusals that does not have all of their request ids."""

MAX_SEARCHED = 64
"""Characters of a text from which on it rules out no block: it may be the beginning of a longer one."""

Condition = tuple[tuple[int, ...], ...]
"""The bits of each text of a clause, of which a block must have all bits of at least one text."""

_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_SEPARATORS = re.compile(r"[:,/ ]+")
_EVENT = re.compile(r"[a-z-]+\.[a-z_]+", re.ASCII)
_INSTANT = "+00:00"
_ONCE = b'"count":1}'
_COUNT = re.compile(rb'"count":(\d+)')
_ISSUED = b'"event":"token.issued"'
"""With the name: a client can send the other one as the name of its software, but no quotes in it."""

_LACKS = (b'"refused":', b'"dropped":', b'"partial":')


@define
class BlockFilter:
    """The filter of a block, which is being filled.

    Attributes:
        entries: how many it has.
    """

    entries: int = 0
    _strings: set[bytes] = field(factory=set, init=False)
    _terms: set[str] = field(factory=set, init=False)
    _everything: bool = field(default=False, init=False)

    @property
    def is_full(self) -> bool:
        """Whether no further entry belongs to the block."""
        return self.entries >= MAX_ENTRIES or len(self._terms) >= MAX_TERMS or self._everything

    def add(self, text: bytes, ids: bytes, *, whole: bool) -> None:
        """Add an entry: its JSON and its packed request ids; one that is not whole may have any term."""
        self.entries += 1
        self._everything = self._everything or not whole
        strings = set(_STRING.findall(text)) - self._strings
        self._strings.update(strings)
        for one in strings:
            if not one.endswith(_INSTANT.encode()):
                self._terms.update(_terms(one.decode("utf-8", "replace")))
        self._terms.update(unpacked(ids))
        if _lacks_ids(text, ids):
            self._terms.add(REPEATS)

    def bits(self) -> bytes:
        """Return the filter."""
        if self._everything or len(self._terms) > 2 * MAX_TERMS:
            return b"\xff" * FILTER_BYTES
        filter_ = bytearray(FILTER_BYTES)
        for term in self._terms:
            for bit in bits_of(term):
                filter_[bit >> 3] |= 1 << (bit & 7)
        return bytes(filter_)


def bits_of(term: str) -> tuple[int, ...]:
    """Return the numbers of the bits that a term sets."""
    digest = blake2b(term.encode("utf-8", "replace"), digest_size=2 * HASHES).digest()
    return tuple([(high << 8 | low) % (8 * FILTER_BYTES) for high, low in zip(digest[::2], digest[1::2], strict=True)])


def conditions(selection: EntrySelection) -> tuple[Condition, ...]:
    """Return what a block must fulfil to have entries of a selection; empty when every block may have some."""
    clauses = [*selection.clauses]
    if selection.request_id is not None:
        clauses.append((selection.request_id,))
    if selection.repeated:
        clauses.append((REPEATS,))
    found = (tuple(map(_bits_of_text, clause)) for clause in clauses)
    return tuple(condition for condition in found if condition and all(condition))


def _bits_of_text(text: str) -> tuple[int, ...]:
    """Return the bits of all terms of a text; none for one that rules out nothing."""
    if len(text) >= MAX_SEARCHED or text.endswith(_INSTANT):
        return ()
    if text.startswith('"'):  # the name of a member, with a colon: no other text begins so, since it is as in JSON
        text = text.strip('":')
    return tuple(bit for term in _split(text) for bit in bits_of(term))


def _terms(text: str) -> Iterator[str]:
    for term in _split(text):
        yield term
        if _EVENT.fullmatch(term):
            yield f"{term.partition('.')[0]}."


def _split(text: str) -> Iterable[str]:
    return filter(None, _SEPARATORS.split(text))


def _lacks_ids(text: bytes, ids: bytes) -> bool:
    if text.endswith(_ONCE):
        return False
    counts = _COUNT.findall(text)
    if not counts or int(counts[-1]) <= len(ids) // ID_BYTES:
        return False
    return _ISSUED not in text or any(name in text for name in _LACKS)
