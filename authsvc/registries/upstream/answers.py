"""Interprets answers of external registries that are not the requested content."""

import re
from http import HTTPStatus

from authsvc.errors import UpstreamFailed, UpstreamLimited, UpstreamNotFound, UpstreamRefused, UpstreamUnavailable
from authsvc.registries.upstream.session import UpstreamReply
from authsvc.upstreams.origin import Origin

DEFAULT_PAUSE, LONGEST_PAUSE = 60, 3600
"""Seconds after which to try again when a registry limits requests: when it does not say, and at most."""

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def limited(origin: Origin, reply: UpstreamReply) -> UpstreamLimited:
    """Return the error about an answer 429."""
    said = reply.headers.get("Retry-After", "").strip()
    pause = int(said) if _SECONDS.fullmatch(said) else DEFAULT_PAUSE
    error = UpstreamLimited(
        f"{origin.authority} takes no more requests for now, perhaps because of its limit on pulls",
        float(min(max(pause, 1), LONGEST_PAUSE)),
    )
    error.status = reply.status
    return error


def unusual(origin: Origin, target: str, reply: UpstreamReply) -> UpstreamUnavailable:
    """Return the error about an unexpected status."""
    error = UpstreamUnavailable(f"{origin.authority} answers {reply.status} to {target.partition('?')[0][:200]}")
    error.status = reply.status
    return error


def failure(origin: Origin, repository: str, target: str, reply: UpstreamReply, *, basic: bool) -> UpstreamFailed:
    """Return the error about an answer of a registry that is not the requested content.

    Args:
        origin: of the registry.
        repository: that was requested.
        target: of the request, as it was sent.
        reply: the answer.
        basic: whether the request had the credential itself, so that a 401 is about it.
    """
    error = _failure(origin, repository, target, reply, basic=basic)
    error.status = reply.status
    return error


def _failure(origin: Origin, repository: str, target: str, reply: UpstreamReply, *, basic: bool) -> UpstreamFailed:
    if reply.status == HTTPStatus.NOT_FOUND:
        return UpstreamNotFound(f"{origin.authority} does not have this in the repository {repository}")
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return limited(origin, reply)
    if reply.status == HTTPStatus.UNAUTHORIZED and basic:
        return UpstreamRefused(f"{origin.authority} refuses the credential of this link (401)", credential=True)
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        # Docker Hub answers the same for a repository that does not exist.
        return UpstreamRefused(
            f"{origin.authority} has no repository {repository}, or refuses access to it ({reply.status})",
            credential=False,
        )
    return unusual(origin, target, reply)
