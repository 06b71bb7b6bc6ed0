"""Reads request headers of the management API: ``Idempotency-Key`` and ``If-Match`` of changes, and ``Accept``."""

import re
from collections.abc import Sequence

from multidict import CIMultiDictProxy

from authsvc.errors import InputRefused
from authsvc.web.api.answer_etag import record_tag

IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"

MAX_KEY = 255
"""Longest idempotency key, in characters."""

MAX_TAGS = 20
"""Most entity tags in one request."""

MAX_RANGES = 50
"""Most media types of one request that are considered."""

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
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
    """Return the tags, one of which the changed record must have; ``*`` for any tag, None without a condition.

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
    return tuple(map(record_tag, tags))


def require_unused(headers: CIMultiDictProxy[str], name: str) -> None:
    """Refuse a header that the endpoint does not support, so that no client relies on it in vain.

    Raises:
        InputRefused: it has the header.
    """
    if name in headers:
        raise _refused(f"{name} is not heeded by this operation; leave it out")


def preferred_type(headers: CIMultiDictProxy[str], offered: Sequence[str]) -> str:
    """Return the media type that a client prefers (RFC 9110 §12.5.1); the first one when it accepts none of them.

    Args:
        headers: of the request.
        offered: media types, the usual one first; the first one wins among equally preferred ones.
    """
    accepted = [_media_range(part) for part in ",".join(headers.getall("Accept", [])).split(",")[:MAX_RANGES]]
    quality = {one: _quality(one, accepted) for one in offered}
    return max(offered, key=lambda one: quality[one])


def _media_range(text: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [_WEIGHT.fullmatch(parameter) for parameter in parameters]
    return media_type, next((float(weight[1]) for weight in weights if weight is not None), 1.0)


def _quality(media_type: str, accepted: Sequence[tuple[str, float]]) -> float:
    """Return the quality of a media type, from the most specific range that includes it."""
    for wanted in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in accepted if name == wanted]
        if found:
            return max(found)
    return 0.0


def _refused(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="header_invalid", field=sentence.partition(" ")[0])
