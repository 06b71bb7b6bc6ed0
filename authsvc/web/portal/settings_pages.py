"""The team's settings: its name and apps, and links to the pages of its other settings."""

from attrs import frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused, PreconditionFailed
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.route import PREFIX, Route

SETTINGS = f"{PREFIX}/settings"

RENAMED = "The team has another name. Customers see it on the pages of their licenses."


@frozen
class SettingsLink:
    """A link to a part of the settings with its own pages.

    Attributes:
        path: of the page.
        title: for people.
        text: what it is for.
        permission: required to see it.
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


@frozen(eq=False, repr=False)
class SettingsPages:
    """The page of a team's settings.

    Attributes:
        teams: shows and names the team, and shows its apps.
    """

    teams: Teams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/settings", self.show, Permission.APP_LIST),
            Route("POST", "/settings/name", self.rename, Permission.TEAM_SET),
        )

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show the team, its apps, archived ones too, and links to what this member may see."""
        return await self._settings(visit)

    async def rename(self, visit: Visit) -> PortalAnswer:
        """Give the team another name."""
        try:
            await self.teams.set(visit.user.member.team, visit.form.get("name", "").strip(), visit.operation())
        except (InputRefused, Conflict) as error:
            return await self._settings(visit, error)
        return RedirectAnswer(f"{SETTINGS}?done=name")

    async def _settings(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        actor, slug = visit.actor, visit.user.member.team
        page = await self.teams.apps(actor, slug, archived=True, after=visit.query.get("after"))
        team = await self.teams.team(actor, slug) if actor.may(Permission.TEAM_SHOW) else None
        typed = None if isinstance(error, PreconditionFailed) else visit.form.get("name")
        values = {
            "team": team,
            "name": team.name if team is not None and typed is None else typed,
            "notice": RENAMED if visit.query.get("done") == "name" else None,
            "error": None if error is None else str(error),
            "apps": page.items,
            "next": page.next,
            "links": [one for one in LINKS if actor.may(one.permission)],
        }
        return PageAnswer("settings", values, status_of(error))
