"""A link: connects one external registry to one app."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.keys.seal_context import SealContext
from authsvc.spec.reference import Repository
from authsvc.tenancy.patterns import MAX_PATTERNS, PROXY, is_pattern, matches
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.providers import PRESETS, Provider

CREDENTIAL_KIND = "upstream_credential"
"""Kind of the sealed secrets of links."""

MAXLINK_NAME = 40

MAX_LINKS_OF_APP = 20
"""Most links of one app."""

MAX_LINKS_OF_TEAM = 100
"""Most links of all apps of a team."""

LIBRARY = "library"

LINK_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


@frozen
class UpstreamLink:
    """An external registry whose images customers pull as ``proxy/APP/NAME/REPOSITORY``.

    Attributes:
        id: never reused.
        team: slug of the vendor.
        app: slug of its app.
        name: unique in the app; part of every image name.
        provider: that it was made for.
        origin: of the registry.
        token_hosts: hosts, each with https at port 443, that may get the credential in addition to ``origin``.
        repositories: patterns relative to the registry; other repositories cannot be pulled.
        username: of the credential, or None.
        sealed_secret: the credential, sealed; None when pulls are anonymous.
        credential_version: raised by every change of the credential.
        purge_count: raised by every purge; blobs that were cached before are no longer served.
        created_at: aware.
        created_by: id of the member, or None for the operator.
        changed_at: aware.
        credential_ends_at: end of the credential as the vendor stated it, or None.
    """

    id: str
    team: str
    app: str
    name: str
    provider: Provider
    origin: Origin
    token_hosts: tuple[str, ...]
    repositories: tuple[str, ...]
    username: str | None
    sealed_secret: str | None
    credential_version: int
    purge_count: int
    created_at: datetime
    created_by: str | None
    changed_at: datetime
    credential_ends_at: datetime | None = None


def parse_link_name(text: str) -> str:
    """Return ``text`` if it may be the name of a link.

    Raises:
        InputRefused: not of the grammar, or too long.
    """
    if len(text) <= MAXLINK_NAME and LINK_NAME.fullmatch(text):
        return text
    raise InputRefused(
        f"{text[:60]!r} cannot name an upstream: use at most {MAXLINK_NAME} of a-z, 0-9 and single '-' inside, such "
        "as quay",
        code="name_invalid",
        field="name",
    )


def parse_exposed(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of the repositories that a link exposes, each once.

    Raises:
        InputRefused: there is none, there are too many, or one is not a pattern relative to the upstream.
    """
    patterns = tuple(dict.fromkeys(texts))
    if not patterns:
        raise InputRefused(
            "say which repositories of the upstream the app may show, such as org/** or library/nginx",
            code="value_missing",
            field="repositories",
        )
    if len(patterns) > MAX_PATTERNS:
        raise InputRefused(
            f"a link has at most {MAX_PATTERNS} patterns; use * and ** for more",
            code="patterns_too_many",
            field="repositories",
        )
    for pattern in patterns:
        if not is_pattern(pattern) or pattern.partition("/")[0] == PROXY:
            raise InputRefused(
                f"{pattern[:80]!r} is not a pattern of the upstream's repositories: lower-case components joined by "
                "'/', with '*' inside one component and '**' for any depth, as the upstream names them, such as org/**",
                code="pattern_invalid",
                field="repositories",
            )
    return patterns


def upstream_repository(link: UpstreamLink, rest: Sequence[str]) -> str:
    """Return the name that the upstream has for the repository ``proxy/APP/NAME/<rest>``."""
    alone = len(rest) == 1 and PRESETS[link.provider].library
    return "/".join([LIBRARY, *rest] if alone else rest)


def exposes(link: UpstreamLink, repository: str) -> bool:
    """Whether ``link`` exposes ``repository``, a name inside the upstream.

    If a name of one component is an abbreviation for one in ``library/``, a pattern in either form covers both.
    """
    try:
        found = Repository.parse(repository)
    except ValueError:
        return False
    if found.domain is not None:
        return False
    spellings = [found.components]
    if PRESETS[link.provider].library:
        if len(found.components) == 1:
            spellings.append((LIBRARY, *found.components))
        elif found.components[0] == LIBRARY and found.components[1:2] == found.components[1:]:
            spellings.append(found.components[1:])
    return any(matches(pattern, spelling) for pattern in link.repositories for spelling in spellings)


def credential_context(link: UpstreamLink) -> SealContext:
    """Return the context that the link's sealed secret is bound to."""
    return SealContext(CREDENTIAL_KIND, link.team, link.id, link.credential_version)


def new_targets(old: UpstreamLink, new: UpstreamLink) -> tuple[str, ...]:
    """Return the addresses and token hosts to which the credential of ``new`` may be sent, but not that of ``old``.

    Args:
        old: a link.
        new: the same link after the change.
    """
    known = {old.origin.text, *old.token_hosts}
    return tuple(target for target in (new.origin.text, *new.token_hosts) if target not in known)


def cache_scope(link: UpstreamLink) -> str:
    """Return the cache scope of a link's registry.

    Every link, credential and purge has a different scope, so no cached data outlives a new secret or a purge.
    """
    return f"{link.id}:{link.credential_version}:{link.purge_count}"


def blob_cache_key(link: UpstreamLink, repository: str, digest: str) -> str:
    """Return the cache key of a blob.

    No two teams, links, credentials, purges or repositories share a key, so a blob that was fetched with one credential
    is never served for another.

    Args:
        link: the link.
        repository: as the upstream names it.
        digest: of the blob.

    Raises:
        ValueError: ``repository`` has a colon, which would make the key ambiguous.
    """
    if ":" in repository:
        raise ValueError("a repository inside an upstream has no colon")
    return f"{link.team}:{cache_scope(link)}:{repository}:{digest}"
