"""The pages to create, show, archive and reinstate an app."""

from attrs import frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.route import HOME, PREFIX, Route

APPS = f"{PREFIX}/apps"

FIELDS = ("slug", "name")

_DONE = {
    "archive": "The app is archived: pushes and pulls are refused until it is reinstated.",
    "reinstate": "The app is in use again.",
}


@frozen(eq=False, repr=False)
class AppPages:
    """The pages of apps.

    Attributes:
        teams: makes, shows and archives them.
    """

    teams: Teams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/settings/new-app", self.form, Permission.APP_CREATE),
            Route("POST", "/settings/new-app", self.create, Permission.APP_CREATE),
            Route("GET", "/apps/{app}", self.show, Permission.APP_SHOW),
            Route("GET", "/apps/{app}/archive", self.ask_archive, Permission.APP_ARCHIVE),
            Route("POST", "/apps/{app}/archive", self.archive, Permission.APP_ARCHIVE),
            Route("POST", "/apps/{app}/reinstate", self.reinstate, Permission.APP_REINSTATE),
        )

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the form of a new app."""
        return _form(visit)

    async def create(self, visit: Visit) -> PortalAnswer:
        """Create the app, and redirect to its images: that page explains the first push."""
        slug, name = (visit.form.get(one, "").strip() for one in FIELDS)
        try:
            app = await self.teams.create_app(slug, visit.user.member.team, name or None, visit.operation())
        except (InputRefused, Conflict) as error:
            return _form(visit, error)
        return RedirectAnswer(f"{HOME}?app={app.slug}")

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show an app."""
        return await self._app(visit)

    async def ask_archive(self, visit: Visit) -> PortalAnswer:
        """Say whose access ends when the app is archived."""
        return await self._ask(visit)

    async def archive(self, visit: Visit) -> PortalAnswer:
        """Archive it, if the access that ends is still what the page said."""
        confirmed = visit.form.get("confirmed") or None
        try:
            app = await self.teams.archive_app(visit.names["app"], visit.operation(), confirmed)
        except (ConfirmationNeeded, Conflict) as error:
            return await self._ask(visit, error)
        return RedirectAnswer(f"{APPS}/{app.slug}?done=archive")

    async def reinstate(self, visit: Visit) -> PortalAnswer:
        """Undo that."""
        try:
            app = await self.teams.reinstate_app(visit.names["app"], visit.operation())
        except Conflict as error:
            return await self._app(visit, error)
        return RedirectAnswer(f"{APPS}/{app.slug}?done=reinstate")

    async def _app(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        values = {
            "app": await self.teams.app(visit.actor, visit.names["app"]),
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("app", values, status_of(error))

    async def _ask(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        app = await self.teams.app(visit.actor, visit.names["app"])
        use = await self.teams.use_of(visit.actor, app.slug, visit.now)
        changed = isinstance(error, ConfirmationNeeded) and bool(visit.form.get("confirmed"))
        values = {
            "app": app,
            "use": use,
            "ends": use.ended_by_archiving(app.slug),
            "error": None if error is None else CHANGED if changed else str(error),
        }
        return PageAnswer("app_archive", values, status_of(error))


CHANGED = "who has access has changed since this page was shown; read it again, and confirm"


def _form(visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
    values = {
        "fields": {name: visit.form.get(name, "") for name in FIELDS},
        "error": None if error is None else str(error),
    }
    return PageAnswer("app_new", values, status_of(error))
