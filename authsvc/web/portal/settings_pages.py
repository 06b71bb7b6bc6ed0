"""The team's settings: its apps, and where everything else is that a team sets up."""

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit
from authsvc.web.portal.route import PREFIX, Route


@frozen
class SettingsLink:
    """What has pages of its own.

    Attributes:
        path: of the page.
        title: for people.
        text: what it is for.
        permission: who sees it.
    """

    path: str
    title: str
    text: str
    permission: Permission


LINKS = (
    SettingsLink(
        f"{PREFIX}/service-accounts",
        "Service accounts",
        "Accounts for machines, such as a CI build that pushes images.",
        Permission.SERVICE_ACCOUNT_LIST,
    ),
    SettingsLink(
        f"{PREFIX}/upstreams",
        "External registries",
        "Registries elsewhere whose images your customers pull through this one.",
        Permission.UPSTREAM_LIST,
    ),
    SettingsLink(
        f"{PREFIX}/webhooks",
        "Webhooks",
        "Addresses of yours that are told what happens, such as the first pull of a license.",
        Permission.WEBHOOK_LIST,
    ),
    SettingsLink(
        f"{PREFIX}/audit",
        "Audit",
        "Who did what and when; also as a file for a spreadsheet or an archive.",
        Permission.AUDIT_LIST,
    ),
)


@frozen
class SettingsPages:
    """The page of a team's settings.

    Attributes:
        teams: shows the team and its apps.
    """

    teams: Teams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (Route("GET", "/settings", self.show, Permission.APP_LIST),)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show the team, its apps, archived ones too, and links to what this member may see."""
        actor, slug = visit.actor, visit.user.member.team
        page = await self.teams.apps(actor, slug, archived=True, after=visit.query.get("after"))
        values = {
            "team": await self.teams.team(actor, slug) if actor.may(Permission.TEAM_SHOW) else None,
            "apps": page.items,
            "next": page.next,
            "links": [one for one in LINKS if actor.may(one.permission)],
        }
        return PageAnswer("settings", values)
