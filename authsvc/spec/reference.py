r"""Repository, tag, digest and image reference grammar (distribution ``reference/regexp.go``).

::

    reference  := name [ ":" tag ] [ "@" digest ]
    name       := [ domain "/" ] component *( "/" component )
    component  := [a-z0-9]+ ( ( "." | "_" | "__" | "-"+ ) [a-z0-9]+ )*
    domain     := host [ ":" port ]
    host       := label *( "." label ) | "[" IPv6 "]"
    tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
    digest     := algorithm ":" hex      (sha256: 64, sha384: 96, sha512: 128 lower-case digits)

Every pattern is ASCII and matched whole: ``$`` would accept a trailing newline, and ``\w`` a Cyrillic letter.

This module is shared with the license holder's tools, which run on a bare Python 3.9: standard library alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
DOMAIN = rf"(?:{LABEL}(?:\.{LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"

MAX_NAME_LENGTH = 255
"""Longest repository name, in characters (distribution ``RepositoryNameTotalLengthMax``)."""

DEFAULT_DOMAIN = "docker.io"
"""The domain of a reference without one (distribution ``normalize.go``)."""

LEGACY_DEFAULT_DOMAIN = "index.docker.io"
"""Its older name, which docker replaces."""

_COMPONENT = re.compile(COMPONENT, re.ASCII)
_DOMAIN = re.compile(DOMAIN, re.ASCII)
_TAG = re.compile(TAG, re.ASCII)
_DIGEST = re.compile(DIGEST, re.ASCII)
_HEX_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Whether ``text`` is a well-formed digest."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether ``text`` is a well-formed tag."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True)
class Repository:
    """A repository name as in a registry's URL and in a scope.

    Attributes:
        components: the path, at least one component, each of the lower-case grammar.
        domain: a first part that is not a path component (``host:5000``, ``Team``), or None. The registry's routes
            accept one (distribution ``NameRegexp``), so a scope may contain one; our namespaces never do.
    """

    components: tuple[str, ...]
    domain: str | None = None

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Return the repository named by ``text``.

        Raises:
            ValueError: ``text`` is not of the grammar, or longer than 255 characters.
        """
        if not 0 < len(text) <= MAX_NAME_LENGTH:
            raise ValueError(f"a repository name has 1 to {MAX_NAME_LENGTH} characters")
        parts = text.split("/")
        domain = None
        if len(parts) > 1 and not _COMPONENT.fullmatch(parts[0]):
            domain = parts.pop(0)
            if not _DOMAIN.fullmatch(domain):
                raise ValueError("a repository name begins with a lower-case component or a host name")
        if not all(_COMPONENT.fullmatch(part) for part in parts):
            raise ValueError(
                "a repository name is lower-case letters and digits, with single '.', '_', '__' or '-' between them, "
                "in components joined by '/'"
            )
        return cls(tuple(parts), domain)

    def __str__(self) -> str:
        path = "/".join(self.components)
        return f"{self.domain}/{path}" if self.domain else path


@dataclass(frozen=True)
class Reference:
    """An image as people type it, with the defaults that docker fills in.

    Attributes:
        domain: the registry's host and port; ``docker.io`` when none was typed.
        path: the repository inside that registry.
        tag: None when only a digest was given; ``latest`` when neither was.
        digest: ``algorithm:hex``, or None.
    """

    domain: str
    path: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that ``text`` means to docker.

        The first segment is a domain iff it contains ``.`` or ``:``, is ``localhost``, or has an upper-case letter.

        Raises:
            ValueError: ``text`` is not of the grammar, or is a bare 64-digit image id.
        """
        if _HEX_ID.fullmatch(text):
            raise ValueError("a bare 64-digit image id names no repository")
        name, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise ValueError("a digest is sha256:, sha384: or sha512: and that many lower-case hexadecimal digits")
        tag: str | None = None
        head, colon, last = name.rpartition(":")
        if colon and "/" not in last:
            name, tag = head, last
            if not _TAG.fullmatch(tag):
                raise ValueError(
                    "a tag has 1 to 128 letters, digits, '_', '.' or '-' and does not begin with '.' or '-'"
                )
        first, slash, rest = name.partition("/")
        named = bool(slash) and (any(c in first for c in ".:") or first == "localhost" or first != first.lower())
        domain, path = (first, rest) if named else (DEFAULT_DOMAIN, name)
        if named and not _DOMAIN.fullmatch(first):
            raise ValueError("the part before the first '/' is no host name")
        if domain == LEGACY_DEFAULT_DOMAIN:
            domain = DEFAULT_DOMAIN
        if domain == DEFAULT_DOMAIN and "/" not in path:
            path = f"library/{path}"
        if Repository.parse(path).domain is not None:
            raise ValueError("a repository path is lower-case")
        return cls(domain, path, tag if tag or digest else "latest", digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.path}{tag}{digest}"
