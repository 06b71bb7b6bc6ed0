"""Looking up the record that a caller named, or refusing with what does not exist."""

from collections.abc import Sequence

from authsvc.errors import NotFound
from authsvc.manage.stores import Stores
from authsvc.tenancy.names import parse_email, parse_slug
from authsvc.tenancy.records import App, Member, Team
from authsvc.tenancy.versioned import Versioned


async def find_team(stores: Stores, slug: str) -> Team:
    """Return the team.

    Raises:
        InputRefused: ``slug`` can name no team.
        NotFound: there is no such team.
    """
    team = await stores.teams.get(parse_slug(slug, "team"))
    if team is None:
        raise NotFound(f"there is no team {slug!r}", code="team_not_found", field="team", facts={"team": slug})
    return team


async def find_app(stores: Stores, slug: str) -> Versioned[App]:
    """Return the app.

    Raises:
        InputRefused: ``slug`` can name no app.
        NotFound: there is no such app.
    """
    app = await stores.apps.get(parse_slug(slug, "app"))
    if app is None:
        raise NotFound(f"there is no app {slug!r}", code="app_not_found", field="app", facts={"app": slug})
    return app


async def find_apps_of(stores: Stores, slugs: Sequence[str], team: str) -> tuple[str, ...] | None:
    """Return the slugs, sorted, each once, all of apps of ``team``; None for none.

    Raises:
        InputRefused: a slug can name no app.
        NotFound: the team has no such app; the same sentence when another team has it.
    """
    for slug in slugs:
        app = await stores.apps.get(parse_slug(slug, "app"))
        if app is None or app.record.team != team:
            raise NotFound(
                f"the team {team!r} has no app {slug!r}", code="app_not_found", field="apps", facts={"team": team}
            )
    return tuple(sorted(set(slugs))) or None


async def names_around(stores: Stores, email: str, team: str) -> list[str]:
    """Return what anyone may know of a member, and a password must not be made of."""
    found = await stores.teams.get(team)
    apps = await stores.apps.of_team(team)
    names = [name for app in apps for name in (app.slug, app.name)]
    return [email, team, *([found.name] if found is not None else []), *names]


async def find_member(stores: Stores, email: str) -> Versioned[Member]:
    """Return the member with this address.

    Raises:
        InputRefused: it is no address.
        NotFound: no member has it.
    """
    stored = await stores.members.by_email(parse_email(email))
    if stored is None:
        raise NotFound(f"no member has the address {email[:80]!r}", code="member_not_found", field="email")
    return stored
