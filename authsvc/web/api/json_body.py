"""Reads the JSON body of a request: of bounded size, within a time limit, and only if it is unambiguous."""

import asyncio
import json
import math
from typing import Any

from aiohttp import hdrs, web

from authsvc.errors import InputRefused

BODY_DEADLINE = 10.0
"""Seconds in which a client must have sent its body."""

MEDIA_TYPE = "application/json"

MAX_DEPTH = 16
"""Deepest nesting of a body: more than any request has."""


async def read_body(request: web.Request) -> bytes:
    """Return the body of a request; empty when it has none.

    Raises:
        InputRefused: it did not arrive in time.
        HTTPRequestEntityTooLarge: it is longer than the listener accepts.
    """
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            return await request.read()
    except (TimeoutError, ConnectionError, web.RequestPayloadError) as error:
        raise _refused("the body did not arrive") from error


def require_json(request: web.Request) -> None:
    """Accept a request whose body says that it is JSON.

    Raises:
        HTTPUnsupportedMediaType: its type is another one, or it is compressed.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    charset = (request.charset or "utf-8").lower()
    if request.content_type != MEDIA_TYPE or coding.lower() != "identity" or charset != "utf-8":
        raise web.HTTPUnsupportedMediaType


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``.

    Raises:
        InputRefused: it is not one; a name occurs twice; a number cannot be represented; a string is not Unicode.
    """
    try:
        found = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant, parse_float=_finite
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _AmbiguousError) else "it is not JSON in UTF-8"
        raise _refused(f"the body cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise _refused("the body is not a JSON object")
    if not _is_shallow(found, MAX_DEPTH):
        raise _refused(f"the body is nested more than {MAX_DEPTH} deep")
    return found


class _AmbiguousError(ValueError):
    """The text is valid JSON but ambiguous."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _AmbiguousError("a name occurs twice")
    return found


def _refuse_constant(text: str) -> float:
    raise _AmbiguousError(f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _AmbiguousError("a number is out of range")
    return number


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)


def _refused(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="body_invalid", field="body")
