"""Reads the request headers of the management API that steer a change: ``Idempotency-Key`` and ``If-Match``."""

import re

from multidict import CIMultiDictProxy

from authsvc.errors import InputRefused

IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"

MAX_KEY = 255
"""Longest idempotency key, in characters."""

MAX_TAGS = 20
"""Most entity tags in one request."""

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"', re.ASCII)


def idempotency_key(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the idempotency key of a request, or None if it has none.

    Raises:
        InputRefused: there are several, or it is empty, too long or not printable ASCII.
    """
    values = headers.getall(IDEMPOTENCY_KEY, [])
    if not values:
        return None
    if len(values) > 1 or len(values[0]) > MAX_KEY or not _KEY.fullmatch(values[0]):
        raise _refused(f"{IDEMPOTENCY_KEY} must be one value of 1 to {MAX_KEY} printable ASCII characters")
    return values[0]


def if_match(headers: CIMultiDictProxy[str]) -> tuple[str, ...] | None:
    """Return the entity tags of which the changed object must have one, ``*`` for any; None without a condition.

    A weak tag is refused rather than ignored: it never matches (RFC 9110 §13.1.1).

    Raises:
        InputRefused: it is not a list of strong entity tags.
    """
    values = headers.getall(IF_MATCH, [])
    if not values:
        return None
    tags = [tag.strip(" \t") for tag in ",".join(values).split(",")]
    if tags == ["*"]:
        return ("*",)
    if len(tags) > MAX_TAGS or not all(_TAG.fullmatch(tag) for tag in tags):
        raise _refused(f"{IF_MATCH} must be * or up to {MAX_TAGS} entity tags, as the header ETag has them")
    if any(tag.startswith("W/") for tag in tags):
        raise _refused(f"{IF_MATCH} has a weak entity tag, which matches nothing; send the header ETag as it came")
    return tuple(tags)


def require_unused(headers: CIMultiDictProxy[str], name: str) -> None:
    """Accept a request without a header that its endpoint does not heed: its client would rely on it in vain.

    Raises:
        InputRefused: it has the header.
    """
    if name in headers:
        raise _refused(f"{name} is not heeded by this operation; leave it out")


def _refused(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="header_invalid", field=sentence.partition(" ")[0])
