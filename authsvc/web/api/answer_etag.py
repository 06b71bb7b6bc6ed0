"""Entity tags of answers (RFC 9110 §8.8.3), which a client sends back as ``If-None-Match`` or ``If-Match``.

A tag has two parts: one for the stored record and one for the answer made from it. The state of a license depends on
the clock, so an answer can change without a change of the record: ``If-None-Match`` compares both parts, ``If-Match``
the first.
"""

import hashlib
import re

from multidict import CIMultiDictProxy

IF_NONE_MATCH = "If-None-Match"

SUFFIX_LENGTH = 16
"""Number of hexadecimal digits that identify the answer."""

MAX_HEADER = 4096
"""Longest header that is read, in characters; a longer one is ignored."""

_SUFFIX = re.compile(rf'-[0-9a-f]{{{SUFFIX_LENGTH}}}"$', re.ASCII)
_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")', re.ASCII)


def tag_of_answer(record_tag: str, body: str) -> str:
    """Return the entity tag of an answer.

    Args:
        record_tag: the tag of the stored record, with its quotes.
        body: the answer.
    """
    return f'{record_tag[:-1]}-{hashlib.sha256(body.encode()).hexdigest()[:SUFFIX_LENGTH]}"'


def record_tag(tag: str) -> str:
    """Return the part of a tag that identifies the stored record."""
    return _SUFFIX.sub('"', tag)


def has_seen(headers: CIMultiDictProxy[str], tag: str) -> bool:
    """Whether the client already has the answer with this tag, by the weak comparison (RFC 9110 §13.1.2)."""
    text = ",".join(headers.getall(IF_NONE_MATCH, []))
    return text.strip() == "*" or (len(text) <= MAX_HEADER and tag in _TAGS.findall(text))
