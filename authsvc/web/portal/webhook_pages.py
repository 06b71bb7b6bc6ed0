"""The pages of webhooks: receivers, deliveries, and changes."""

from collections.abc import Awaitable, Sequence

from attrs import frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused, NotFound
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.manage.webhooks import Webhooks
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_span
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import ShownState
from authsvc.web.portal.route import PREFIX, Route
from authsvc.web.portal.upstream_link_pages import apps_of
from authsvc.webhooks.delivery import DeliveryAttempt, DeliveryCounts, DeliveryState
from authsvc.webhooks.event import SELECTABLE
from authsvc.webhooks.terms import WebhookChange, WebhookTerms
from authsvc.webhooks.webhook import Webhook

WEBHOOKS = f"{PREFIX}/webhooks"

SHOWN = 50
"""Deliveries on a webhook's page, the newest."""

DELIVERY_STATES = {
    DeliveryState.WAITING: ShownState("warn", "waits"),
    DeliveryState.DELIVERED: ShownState("ok", "delivered"),
    DeliveryState.FAILED: ShownState("bad", "failed"),
}
"""The state of a delivery, in words for people."""

_DONE = {
    "change": "The webhook was changed.",
    "disable": "Nothing is sent until the webhook is enabled again.",
    "enable": "Events are sent again from now on.",
    "removed": "The webhook was removed, with its secret. What waited for it is not sent.",
}


@frozen(eq=False, repr=False)
class WebhookPages:
    """The pages of webhooks.

    Attributes:
        teams: lists the apps.
        webhooks: lists, tests and changes them.
    """

    teams: Teams
    webhooks: Webhooks

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one = "/webhooks/{webhook}"
        return (
            Route("GET", "/webhooks", self.list, Permission.WEBHOOK_LIST),
            Route("POST", "/webhooks", self.add, Permission.WEBHOOK_ADD, asks_others=True),
            Route("GET", one, self.show, Permission.WEBHOOK_SHOW),
            Route("POST", f"{one}/test", self.test, Permission.WEBHOOK_TEST, asks_others=True),
            Route("POST", f"{one}/change", self.change, Permission.WEBHOOK_SET, asks_others=True),
            Route("POST", f"{one}/rotate", self.rotate, Permission.WEBHOOK_ROTATE),
            Route("GET", f"{one}/disable", self.ask_disable, Permission.WEBHOOK_DISABLE),
            Route("POST", f"{one}/disable", self.disable, Permission.WEBHOOK_DISABLE),
            Route("POST", f"{one}/enable", self.enable, Permission.WEBHOOK_ENABLE),
            Route("GET", f"{one}/remove", self.ask_remove, Permission.WEBHOOK_REMOVE),
            Route("POST", f"{one}/remove", self.remove, Permission.WEBHOOK_REMOVE),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the webhooks of the team, the oldest first."""
        return await self._webhooks(visit)

    async def add(self, visit: Visit) -> PortalAnswer:
        """Add a webhook and show its secret, this once."""
        form = visit.form
        try:
            terms = WebhookTerms.parse(form.get("url", "").strip(), _chosen(visit) or None)
            app = form.get("app") or None
            webhook, secret = await self.webhooks.add(terms, visit.operation(), team=visit.user.member.team, app=app)
        except (InputRefused, Conflict, NotFound) as error:
            return await self._webhooks(visit, error)
        return _secret_page(webhook, secret)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show a webhook and its newest deliveries."""
        return await self._webhook(visit)

    async def test(self, visit: Visit) -> PortalAnswer:
        """Send a test event now, and show the result."""
        try:
            attempt = await self.webhooks.test(visit.names["webhook"], visit.operation())
        except Conflict as error:
            return await self._webhook(visit, error)
        return await self._webhook(visit, attempt=attempt)

    async def change(self, visit: Visit) -> PortalAnswer:
        """Send events to another address, or other types of events."""
        chosen = _chosen(visit)
        try:
            change = WebhookChange.parse(visit.form.get("url", "").strip(), chosen or None, all_types=not chosen)
        except InputRefused as error:
            return await self._webhook(visit, error)
        return await self._changed(
            visit, "change", self.webhooks.set(visit.names["webhook"], change, visit.operation())
        )

    async def rotate(self, visit: Visit) -> PortalAnswer:
        """Give it another secret and show that, this once."""
        try:
            overlap = parse_span(visit.form.get("overlap", "").strip(), "overlap")
            webhook, secret = await self.webhooks.rotate(
                visit.names["webhook"], overlap, visit.operation(), visit.form.get("confirmed") or None
            )
        except (InputRefused, Conflict) as error:
            return await self._webhook(visit, error)
        return _secret_page(webhook, secret)

    async def ask_disable(self, visit: Visit) -> PortalAnswer:
        """Show what it means to disable it."""
        return await self._question(visit, "disable")

    async def disable(self, visit: Visit) -> PortalAnswer:
        """Send nothing more to it."""
        change = self.webhooks.disable(visit.names["webhook"], visit.operation())
        return await self._changed(visit, "disable", change)

    async def enable(self, visit: Visit) -> PortalAnswer:
        """Send events to it again."""
        return await self._changed(visit, "enable", self.webhooks.enable(visit.names["webhook"], visit.operation()))

    async def ask_remove(self, visit: Visit) -> PortalAnswer:
        """Show what it means to remove it."""
        return await self._question(visit, "remove")

    async def remove(self, visit: Visit) -> PortalAnswer:
        """Remove it."""
        await self.webhooks.remove(visit.names["webhook"], visit.operation())
        return RedirectAnswer(f"{WEBHOOKS}?done=removed")

    async def _question(self, visit: Visit, what: str) -> PageAnswer:
        webhook, counts = await self.webhooks.show(visit.actor, visit.names["webhook"])
        return PageAnswer("webhook_end", {"webhook": webhook, "counts": counts, "what": what})

    async def _changed(self, visit: Visit, what: str, change: Awaitable[Webhook]) -> PortalAnswer:
        try:
            webhook = await change
        except (InputRefused, Conflict) as error:
            return await self._webhook(visit, error)
        return RedirectAnswer(f"{WEBHOOKS}/{webhook.id}?done={what}")

    async def _webhooks(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        page = await self.webhooks.list(visit.actor, team=visit.user.member.team, after=visit.query.get("after"))
        values = {
            "rows": [(webhook, counts, shown_webhook(webhook, counts)) for webhook, counts in page.items],
            "next": page.next,
            "apps": await apps_of(self.teams, visit),
            "types": SELECTABLE,
            "chosen": _chosen(visit),
            "fields": {name: visit.form.get(name, "") for name in ("url", "app")},
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("webhooks", values, status_of(error))

    async def _webhook(
        self, visit: Visit, error: AuthsvcError | None = None, attempt: DeliveryAttempt | None = None
    ) -> PageAnswer:
        webhook, counts = await self.webhooks.show(visit.actor, visit.names["webhook"])
        values = {
            "webhook": webhook,
            "counts": counts,
            "state": shown_webhook(webhook, counts),
            "deliveries": [
                (one, DELIVERY_STATES[one.state])
                for one in await self.webhooks.deliveries(visit.actor, webhook.id, SHOWN)
            ],
            "attempt": attempt,
            "types": SELECTABLE,
            "chosen": _chosen(visit) if "url" in visit.form else webhook.types or (),
            "fields": {"url": visit.form.get("url", webhook.url), "overlap": visit.form.get("overlap", "24h")},
            "confirm": error if isinstance(error, ConfirmationNeeded) else None,
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("webhook", values, status_of(error))


def shown_webhook(webhook: Webhook, counts: DeliveryCounts) -> ShownState:
    """Return the state of a webhook in words for people."""
    if webhook.disabled_at is not None:
        return ShownState("bad", "disabled")
    if counts.failing_since is not None:
        return ShownState("warn", "failing")
    return ShownState("ok", "works") if counts.delivered else ShownState("", "nothing sent yet")


def _chosen(visit: Visit) -> Sequence[str]:
    """Return the types that are ticked in a form."""
    return [name for name in SELECTABLE if name in visit.form]


def _secret_page(webhook: Webhook, secret: Secret) -> PageAnswer:
    return PageAnswer("webhook_secret", {"webhook": webhook, "secret": secret.reveal()})
