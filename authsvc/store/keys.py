"""The names of all keys, in one place. User text never stands in a key raw: slugs and ids have an ASCII grammar
without ``:`` or glob characters, and an address is hashed (threat 15).
"""  # noqa: D205

import hashlib

PREFIX = "authsvc:"

TEAMS = f"{PREFIX}teams"
"""Set of all team slugs."""


def team(slug: str) -> str:
    """Record of a team."""
    return f"{PREFIX}team:{slug}"


def app(slug: str) -> str:
    """Record of an app."""
    return f"{PREFIX}app:{slug}"


def team_apps(slug: str) -> str:
    """Set of the slugs of a team's apps."""
    return f"{PREFIX}team-apps:{slug}"


def member(member_id: str) -> str:
    """Record of a member."""
    return f"{PREFIX}member:{member_id}"


def member_email(email: str) -> str:
    """Id of the member with this canonical address."""
    return f"{PREFIX}member-email:{hashlib.sha256(email.encode()).hexdigest()}"


def team_members(slug: str) -> str:
    """Set of the ids of a team's members."""
    return f"{PREFIX}team-members:{slug}"


def license_(license_id: str) -> str:
    """Record of a license."""
    return f"{PREFIX}license:{license_id}"


def app_licenses(slug: str) -> str:
    """Sorted set of the ids of an app's licenses, by Unix time of issue."""
    return f"{PREFIX}app-licenses:{slug}"


def operation(operation_id: str) -> str:
    """Mark of a change that was applied."""
    return f"{PREFIX}op:{operation_id}"
