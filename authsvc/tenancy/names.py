"""Parses names that users enter: slugs, e-mail addresses, free text.

A slug is the first component of a repository name, and isolation depends on it (design #11): ASCII, lower-case, never
changed, never reused.
"""

import re

from authsvc.errors import InputRefused

MIN_SLUG, MAX_SLUG = 2, 40
MAX_TEXT = 200
"""Most characters of a free text (names, contacts), which must fit into one HTTP reason phrase."""

MAX_EMAIL = 254
"""Longest e-mail address, in characters (RFC 5321 §4.5.3.1.3)."""

RESERVED_SLUGS = frozenset(
    {
        "_catalog", "admin", "api", "auth", "authsvc", "catalog", "docker", "events", "health", "healthz", "library",
        "livez", "localhost", "login", "logout", "metrics", "portal", "preflight", "proxy", "readyz", "registry",
        "root", "signin", "static", "status", "system", "token", "v1", "v2", "v3", "well-known",
    }
)  # fmt: skip
"""Reserved words: internal paths, roles of Docker Hub, and words that clients take for a host name."""

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+", re.ASCII)


def parse_slug(text: str, what: str, field: str | None = None) -> str:
    """Return ``text`` if it may be the slug of a team or an app.

    Args:
        text: as entered; never corrected, since a corrected name is a different name.
        what: ``team`` or ``app``, for the message.
        field: the argument that it was given as, if that has another name than ``what``.

    Raises:
        InputRefused: not of the grammar, too long, or reserved.
    """
    if not (MIN_SLUG <= len(text) <= MAX_SLUG and _SLUG.fullmatch(text)):
        raise InputRefused(
            f"{text[:60]!r} cannot name {_article(what)}: use {MIN_SLUG} to {MAX_SLUG} of a-z, 0-9 and single '-' "
            "inside, such as my-app",
            code="slug_invalid",
            field=field or what,
        )
    if text in RESERVED_SLUGS:
        raise InputRefused(
            f"{text!r} is reserved and cannot name {_article(what)}; choose another word",
            code="slug_reserved",
            field=field or what,
        )
    return text


def parse_email(text: str) -> str:
    """Return the one canonical form of an e-mail address: trimmed, ASCII, lower-case.

    Anything outside ASCII is refused, so that no two addresses that look alike can be two accounts, or one by accident.

    Raises:
        InputRefused: it is not an address, or not ASCII.
    """
    trimmed = text.strip(" \t\r\n")
    if not trimmed.isascii():
        raise InputRefused(
            f"{trimmed[:80]!r} holds characters outside ASCII; write the domain in its xn-- form",
            code="email_invalid",
            field="email",
        )
    canonical = trimmed.lower()
    local, at, domain = canonical.rpartition("@")
    good = len(canonical) <= MAX_EMAIL and at and _LOCAL_PART.fullmatch(local) and _DOMAIN.fullmatch(domain)
    if not good:
        raise InputRefused(
            f"{trimmed[:80]!r} is not an e-mail address such as me@vendor.com", code="email_invalid", field="email"
        )
    return canonical


def parse_text(text: str, what: str, field: str | None = None) -> str:
    """Return ``text`` trimmed if it is one printable line of at most 200 characters.

    Args:
        text: as typed.
        what: its name, for the message.
        field: the argument that it was given as, if that has another name than ``what``.

    Raises:
        InputRefused: empty, too long, or with control or invisible formatting characters.
    """
    trimmed = text.strip()
    if not 0 < len(trimmed) <= MAX_TEXT:
        raise InputRefused(
            f"the {what} must have 1 to {MAX_TEXT} characters; it has {len(trimmed)}",
            code="length_invalid",
            field=field or what,
        )
    if not trimmed.isprintable():
        raise InputRefused(
            f"the {what} holds a control character or a line break; write it as one plain line",
            code="text_not_printable",
            field=field or what,
        )
    return trimmed


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
