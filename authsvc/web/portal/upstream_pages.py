"""The pages of linked external registries: health, repositories, tests, and changes."""

from collections.abc import Awaitable, Sequence

from attrs import frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused, PreconditionFailed
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.manage.upstreams import LinkChange, Upstreams
from authsvc.tenancy.dates import parse_end
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.providers import PRESETS, Requirement, token_hosts
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import Route
from authsvc.web.portal.upstream_link_pages import UPSTREAMS, apps_of, typed_secret
from authsvc.web.portal.upstream_states import (
    credential_end,
    example_repository,
    license_patterns,
    pull_name,
    shown_health,
)

_DONE = {
    "linked": "The registry is linked. Test it, and give licenses a pattern for it.",
    "repositories": "The link shows these repositories now, and no others.",
    "credential": "The credential was changed. Nothing that the old one fetched is served any more.",
    "end": "The end of the credential was changed.",
    "hosts": "Which hosts may ask for the credential was changed.",
    "anonymous": "The credential was removed. The registry is asked without one.",
    "purge": "Nothing is served any more that was cached until now.",
    "unlink": "The registry is no longer linked, and its credential was removed.",
}

NOTHING_NEW = "type the new secret, other token hosts, or another last day of the present secret"


@frozen(eq=False, repr=False)
class UpstreamPages:
    """The pages of linked registries.

    Attributes:
        teams: lists the apps.
        upstreams: lists, tests and changes the links.
    """

    teams: Teams
    upstreams: Upstreams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one = "/upstreams/{upstream}"
        return (
            Route("GET", "/upstreams", self.list, Permission.UPSTREAM_LIST),
            Route("GET", one, self.show, Permission.UPSTREAM_SHOW),
            Route("POST", f"{one}/test", self.test, Permission.UPSTREAM_TEST, asks_others=True),
            Route("POST", f"{one}/repositories", self.set_repositories, Permission.UPSTREAM_SET),
            Route("POST", f"{one}/credential", self.set_credential, Permission.UPSTREAM_SET),
            Route("GET", f"{one}/anonymous", self.ask_anonymous, Permission.UPSTREAM_SET),
            Route("POST", f"{one}/anonymous", self.make_anonymous, Permission.UPSTREAM_SET),
            Route("GET", f"{one}/purge", self.ask_purge, Permission.UPSTREAM_PURGE),
            Route("POST", f"{one}/purge", self.purge, Permission.UPSTREAM_PURGE),
            Route("GET", f"{one}/unlink", self.ask_unlink, Permission.UPSTREAM_UNLINK),
            Route("POST", f"{one}/unlink", self.unlink, Permission.UPSTREAM_UNLINK),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the links of the team, or of one app, with their health."""
        app = visit.query.get("app") or None
        page = await self.upstreams.list(
            visit.actor, team=visit.user.member.team, app=app, after=visit.query.get("after")
        )
        values = {
            "apps": await apps_of(self.teams, visit),
            "app": app,
            "rows": [
                (link, health, shown_health(link, health, visit.now), credential_end(link, health))
                for link, health in page.items
            ],
            "presets": PRESETS,
            "next": page.next,
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("upstreams", values)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show a link."""
        return await self._link(visit)

    async def test(self, visit: Visit) -> PortalAnswer:
        """Test the registry with the requests of a pull, and show the result of each step."""
        repository = visit.form.get("repository", "").strip() or None
        try:
            steps = await self.upstreams.test(visit.names["upstream"], None, repository, visit.operation())
        except (InputRefused, Conflict) as error:
            return await self._link(visit, error)
        return await self._link(visit, steps=steps)

    async def set_repositories(self, visit: Visit) -> PortalAnswer:
        """Show other repositories."""
        change = LinkChange(repositories=visit.form.get("repositories", "").split())
        changed = self.upstreams.set(visit.names["upstream"], None, change, visit.operation())
        return await self._changed(visit, "repositories", changed)

    async def set_credential(self, visit: Visit) -> PortalAnswer:
        """Give the link another credential, say who may ask for it, or state another end of the one that it has."""
        try:
            change = await self._credential_change(visit)
        except InputRefused as error:
            return await self._link(visit, error)
        done = "credential" if change.has_credential else "end" if change.token_hosts is None else "hosts"
        return await self._changed(
            visit, done, self.upstreams.set(visit.names["upstream"], None, change, visit.operation())
        )

    async def _credential_change(self, visit: Visit) -> LinkChange:
        link, _ = await self.upstreams.show(visit.actor, visit.names["upstream"])
        username, secret = visit.form.get("username", "").strip() or None, typed_secret(visit)
        if secret is None and username == link.username:
            username = None
        typed = visit.form.get("token_hosts", "").split()
        hosts = None if typed == _own_token_hosts(link) else typed
        ends = end_after(visit.form.get("last_day", "").strip())
        if not ends and secret is None and username is None and hosts is None:
            raise InputRefused(NOTHING_NEW, code="value_missing", field="secret")
        ends_at = parse_end(ends, visit.now, "last day") if ends else None
        return LinkChange(token_hosts=hosts, username=username, secret=secret, credential_ends_at=ends_at)

    async def ask_anonymous(self, visit: Visit) -> PortalAnswer:
        """Show what it means to remove the credential."""
        return await self._question(visit, "anonymous")

    async def make_anonymous(self, visit: Visit) -> PortalAnswer:
        """Remove the credential."""
        change = self.upstreams.set(visit.names["upstream"], None, LinkChange(anonymous=True), visit.operation())
        return await self._changed(visit, "anonymous", change)

    async def ask_purge(self, visit: Visit) -> PortalAnswer:
        """Show what it means to purge the link."""
        return await self._question(visit, "purge")

    async def purge(self, visit: Visit) -> PortalAnswer:
        """Invalidate everything that is cached of it."""
        return await self._changed(
            visit, "purge", self.upstreams.purge(visit.names["upstream"], None, visit.operation())
        )

    async def ask_unlink(self, visit: Visit) -> PortalAnswer:
        """Show whom it affects when the link ends."""
        return await self._question(visit, "unlink")

    async def unlink(self, visit: Visit) -> PortalAnswer:
        """End the link."""
        confirmed = visit.form.get("confirmed") or None
        try:
            await self.upstreams.unlink(visit.names["upstream"], None, visit.operation(), confirmed)
        except ConfirmationNeeded as error:
            return await self._question(visit, "unlink", error)
        return RedirectAnswer(f"{UPSTREAMS}?done=unlink")

    async def _question(self, visit: Visit, what: str, error: ConfirmationNeeded | None = None) -> PageAnswer:
        link, health = await self.upstreams.show(visit.actor, visit.names["upstream"])
        values = {
            "link": link,
            "health": health,
            "what": what,
            "use": await self.upstreams.use(visit.actor, link.id, None, visit.now) if what == "unlink" else None,
            "error": None if error is None else str(error),
        }
        return PageAnswer("upstream_change", values, status_of(error))

    async def _changed(self, visit: Visit, what: str, change: Awaitable[UpstreamLink]) -> PortalAnswer:
        try:
            link = await change
        except (InputRefused, Conflict) as error:
            return await self._link(visit, error)
        return RedirectAnswer(f"{UPSTREAMS}/{link.id}?done={what}")

    async def _link(
        self, visit: Visit, error: AuthsvcError | None = None, steps: Sequence[ProbeStep] = ()
    ) -> PageAnswer:
        link, health = await self.upstreams.show(visit.actor, visit.names["upstream"])
        preset, is_old = PRESETS[link.provider], isinstance(error, PreconditionFailed)
        typed = {
            "repositories": "\n".join(link.repositories),
            "token_hosts": "\n".join(_own_token_hosts(link)),
            "username": link.username or "",
            "last_day": "",
            "repository": "",
        }
        values = {
            "link": link,
            "preset": preset,
            "health": health,
            "state": shown_health(link, health, visit.now),
            "ends_at": credential_end(link, health),
            "pull": pull_name(link),
            "example": example_repository(link),
            "patterns": license_patterns(link),
            "optional": preset.secret.requirement is not Requirement.REQUIRED,
            "fields": typed | {name: visit.form[name] for name in typed if name in visit.form and not is_old},
            "steps": steps,
            "notice": _DONE.get(visit.query.get("done", "")),
            "error": None if error is None else str(error),
        }
        return PageAnswer("upstream", values, status_of(error))


def _own_token_hosts(link: UpstreamLink) -> list[str]:
    """Return the token hosts that a person named, without those of the provider."""
    known = token_hosts(PRESETS[link.provider], link.origin)
    return [host for host in link.token_hosts if host not in known]
