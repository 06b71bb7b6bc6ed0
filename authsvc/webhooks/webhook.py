"""A webhook: the URL to which events of a team are sent, and which types of events."""

from datetime import datetime

from attrs import evolve, frozen

from authsvc.keys.seal_context import SealContext
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.event import EventType, WebhookEvent

SEAL_KIND = "webhook_secret"
"""Kind of the sealed secrets of webhooks."""

MAX_WEBHOOKS_OF_TEAM = 20
"""Most webhooks of a team."""


@frozen
class Webhook:
    """A URL of a team to which events are sent.

    Attributes:
        id: never reused.
        team: slug of the vendor.
        app: slug of the only app whose events are sent; None for events of the whole team.
        origin: of the receiver's URL.
        path: path and query of the URL. They may contain a token of the receiver, so they are never logged.
        types: the types of events that are sent; None for all, including those of later versions.
        sealed_secret: the signing secret, sealed.
        secret_version: raised by every change of the secret.
        created_at: aware.
        created_by: id of the member, or None for the operator.
        changed_at: aware.
        disabled_at: since when nothing is sent, or None.
        disabled_reason: why, as a sentence, or None.
        old_sealed_secret: the previous secret, sealed, which also signs until :attr:`old_secret_until`; or None.
        old_secret_version: version of the previous secret.
        old_secret_until: when it stops signing.
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
    old_sealed_secret: str | None = None
    old_secret_version: int = 0
    old_secret_until: datetime | None = None

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


@frozen
class SealedSigningSecret:
    """A signing secret as it is stored.

    Attributes:
        sealed: the sealed secret.
        context: that it is bound to.
    """

    sealed: str
    context: SealContext


def signing_secrets(webhook: Webhook, now: datetime) -> tuple[SealedSigningSecret, ...]:
    """Return the secrets that sign events ``now``: the current one, and the previous one during a transition."""
    present = SealedSigningSecret(webhook.sealed_secret, secret_context(webhook))
    if webhook.old_sealed_secret is None or webhook.old_secret_until is None or webhook.old_secret_until <= now:
        return (present,)
    context = SealContext(SEAL_KIND, webhook.team, webhook.id, webhook.old_secret_version)
    return present, SealedSigningSecret(webhook.old_sealed_secret, context)


def with_new_secret(webhook: Webhook, sealed: str, until: datetime, now: datetime) -> Webhook:
    """Return the webhook with a new secret, which is sealed for the next version.

    Args:
        webhook: the current record.
        sealed: the new secret.
        until: when the current one stops signing; a time up to ``now`` ends it at once.
        now: the current time.
    """
    both = until > now
    return evolve(
        webhook,
        sealed_secret=sealed,
        secret_version=webhook.secret_version + 1,
        changed_at=now,
        old_sealed_secret=webhook.sealed_secret if both else None,
        old_secret_version=webhook.secret_version if both else 0,
        old_secret_until=until if both else None,
    )


def secret_context(webhook: Webhook) -> SealContext:
    """Return the context that the webhook's sealed secret is bound to."""
    return SealContext(SEAL_KIND, webhook.team, webhook.id, webhook.secret_version)


def next_secret_context(webhook: Webhook) -> SealContext:
    """Return the context that its next secret is bound to."""
    return evolve(secret_context(webhook), version=webhook.secret_version + 1)
