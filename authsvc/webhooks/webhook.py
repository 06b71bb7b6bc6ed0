"""A webhook: where a team wants to be told of which events."""

from datetime import datetime

from attrs import frozen

from authsvc.keys.sealing import SealContext
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.event import EventType, WebhookEvent

SEAL_KIND = "webhook_secret"
"""Kind of the sealed secrets of webhooks."""

MAX_WEBHOOKS_OF_TEAM = 20
"""Most webhooks of a team."""


@frozen
class Webhook:
    """An address of a team that events are sent to.

    Attributes:
        id: never reused.
        team: slug of the vendor.
        app: slug of the only app whose events are sent; None for events of the whole team.
        origin: where the receiver is.
        path: what follows in the URL: path and query. It may hold a token of the receiver, so no log has it.
        types: the types of events that are sent; None for all, also those of later versions.
        sealed_secret: the signing secret, sealed.
        secret_version: raised by every change of the secret.
        created_at: aware.
        created_by: id of the member, or None for the operator.
        changed_at: aware.
        disabled_at: since when nothing is sent, or None.
        disabled_reason: why, as a sentence, or None.
    """

    id: str
    team: str
    app: str | None
    origin: Origin
    path: str
    types: tuple[EventType, ...] | None
    sealed_secret: str
    secret_version: int
    created_at: datetime
    created_by: str | None
    changed_at: datetime
    disabled_at: datetime | None = None
    disabled_reason: str | None = None

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.origin.text}{self.path}"

    def wants(self, event: WebhookEvent) -> bool:
        """Whether an event is sent to it."""
        if self.disabled_at is not None or event.team != self.team:
            return False
        if self.app is not None and event.app != self.app:
            return False
        return self.types is None or event.type in self.types


def secret_context(webhook: Webhook) -> SealContext:
    """Return what the webhook's sealed secret is bound to."""
    return SealContext(SEAL_KIND, webhook.team, webhook.id, webhook.secret_version)
