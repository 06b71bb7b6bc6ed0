"""Linking an external registry: the provider is chosen first, and then a form has what that provider needs."""

from attrs import frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused, NotFound
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.manage.upstreams import Upstreams
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end
from authsvc.tenancy.records import App
from authsvc.upstreams.providers import PRESETS, ProviderPreset, Requirement
from authsvc.upstreams.terms import LinkTerms, find_preset
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import PREFIX, Route

UPSTREAMS = f"{PREFIX}/upstreams"

FIELDS = ("app", "provider", "name", "url", "username", "repositories", "token_hosts", "last_day")
"""What a refused form shows again; a secret is never among it."""


@frozen(eq=False, repr=False)
class UpstreamLinkPages:
    """The pages on which a registry is linked.

    Attributes:
        teams: lists the apps.
        upstreams: makes the link.
    """

    teams: Teams
    upstreams: Upstreams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/upstreams/new", self.new, Permission.UPSTREAM_LINK),
            Route("POST", "/upstreams/new", self.link, Permission.UPSTREAM_LINK, asks_others=True),
        )

    async def new(self, visit: Visit) -> PortalAnswer:
        """Show the providers, or the form of the one that was chosen."""
        provider = visit.query.get("provider")
        if not provider:
            return await self._providers(visit)
        try:
            preset = find_preset(provider)
        except InputRefused as error:
            return await self._providers(visit, error)
        app = await self.teams.app(visit.actor, visit.query.get("app", ""))
        blank = dict.fromkeys(FIELDS, "") | {"app": app.slug, "provider": str(preset.provider), "name": preset.provider}
        return self._form(preset, blank)

    async def link(self, visit: Visit) -> PortalAnswer:
        """Link the registry and show it."""
        values = {name: visit.form.get(name, "").strip() for name in FIELDS}
        preset = find_preset(values["provider"])
        try:
            operation = visit.operation()
            terms = LinkTerms.parse(
                preset.provider,
                values["url"] or None,
                values["username"] or None,
                typed_secret(visit),
                values["repositories"].split(),
                values["token_hosts"].split(),
            )
            ends = end_after(values["last_day"])
            ends_at = parse_end(ends, operation.now, "last day") if ends else None
            made = await self.upstreams.link(values["app"], values["name"], terms, operation, ends_at)
        except (InputRefused, Conflict, NotFound) as error:
            return self._form(preset, values, error)
        return RedirectAnswer(f"{UPSTREAMS}/{made.id}?done=linked")

    async def _providers(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        apps = await apps_of(self.teams, visit)
        if not apps:
            return PageAnswer("no_apps")
        values = {
            "apps": apps,
            "app": visit.query.get("app", ""),
            "presets": tuple(PRESETS.values()),
            "error": None if error is None else str(error),
        }
        return PageAnswer("upstream_providers", values, status_of(error))

    def _form(self, preset: ProviderPreset, values: dict[str, str], error: AuthsvcError | None = None) -> PageAnswer:
        shown = {
            "preset": preset,
            "fields": values,
            "fixed": Requirement.FIXED,
            "required": Requirement.REQUIRED,
            "error": None if error is None else str(error),
        }
        return PageAnswer("upstream_new", shown, status_of(error))


async def apps_of(teams: Teams, visit: Visit) -> tuple[App, ...]:
    """Return the apps of the member's team."""
    return tuple((await teams.apps(visit.actor, visit.user.member.team)).items)


def typed_secret(visit: Visit) -> Secret | None:
    """Return the secret that was typed, or None."""
    secret = visit.secret("secret")
    return secret if secret.reveal().strip() else None
