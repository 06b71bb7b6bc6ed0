"""The health of a linked registry in words, and the commands with which a customer pulls through it."""

from datetime import datetime, timedelta

from authsvc.counts import counted
from authsvc.tenancy.patterns import PROXY
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.web.portal.license_states import SOON, ShownState

_DAY = timedelta(days=1)

_LAST_DAY = "secret ends today"

_ANY = "image"
"""Stands in a command for what a pattern leaves open."""


def credential_end(link: UpstreamLink, health: UpstreamHealth) -> datetime | None:
    """Return when the secret ends: as the vendor stated it, or else as the registry says it."""
    return link.credential_ends_at or health.credential_ends_at


def shown_health(link: UpstreamLink, health: UpstreamHealth, now: datetime) -> ShownState:
    """Return the health of a link: present problems come before future ones."""
    end = credential_end(link, health)
    if end is not None and end <= now:
        return ShownState("bad", f"secret ended {end.date().isoformat()}")
    if health.is_failing:
        return ShownState("bad", "failing")
    if end is not None and end - now <= SOON:
        days = (end - now) // _DAY
        return ShownState("warn", f"secret ends in {counted(days, 'day')}" if days else _LAST_DAY)
    if health.last_good_at is None:
        return ShownState("", "not used yet")
    return ShownState("ok", "working")


def example_repository(link: UpstreamLink) -> str:
    """Return a repository that the link shows, as the upstream names it."""
    first = next((one for one in link.repositories if "*" not in one), link.repositories[0])
    parts = (_ANY if part == "**" else part.replace("*", _ANY) for part in first.split("/"))
    return "/".join(parts)


def pull_name(link: UpstreamLink) -> str:
    """Return the name under which a customer pulls it, without the registry's host."""
    return f"{PROXY}/{link.app}/{link.name}/{example_repository(link)}:1.0"


def license_patterns(link: UpstreamLink) -> tuple[str, ...]:
    """Return the patterns that a license needs to pull everything that the link shows."""
    return tuple(f"{PROXY}/{link.name}/{pattern}" for pattern in link.repositories)
