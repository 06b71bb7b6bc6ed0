"""Entity tags of answers (RFC 9110 §8.8.3): what a client sends back as ``If-None-Match`` or ``If-Match``.

A tag has two parts: what is stored, and what the answer says of it. The state of a license follows from the clock, so
that an answer can change while nothing is stored: ``If-None-Match`` compares both parts, ``If-Match`` the first.
"""

import hashlib
import re

from multidict import CIMultiDictProxy

IF_NONE_MATCH = "If-None-Match"

SUFFIX_LENGTH = 16
"""Hexadecimal digits that stand for the answer."""

MAX_HEADER = 4096
"""Most characters of the header that are read; a longer one counts as none."""

_SUFFIX = re.compile(rf'-[0-9a-f]{{{SUFFIX_LENGTH}}}"$', re.ASCII)
_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")', re.ASCII)


def tag_of_answer(record_tag: str, body: str) -> str:
    """Return the entity tag of an answer.

    Args:
        record_tag: of what is stored, with its quotes.
        body: the answer.
    """
    return f'{record_tag[:-1]}-{hashlib.sha256(body.encode()).hexdigest()[:SUFFIX_LENGTH]}"'


def record_tag(tag: str) -> str:
    """Return the part of a tag that stands for what is stored."""
    return _SUFFIX.sub('"', tag)


def has_seen(headers: CIMultiDictProxy[str], tag: str) -> bool:
    """Whether the client has the answer with this tag, by the weak comparison (RFC 9110 §13.1.2)."""
    text = ",".join(headers.getall(IF_NONE_MATCH, []))
    return text.strip() == "*" or (len(text) <= MAX_HEADER and tag in _TAGS.findall(text))
