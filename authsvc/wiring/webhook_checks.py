"""What asks the receivers of webhooks for the use cases, with the rules of this installation."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from authsvc.redaction import Secret
from authsvc.settings import Settings
from authsvc.upstreams.origin import Origin
from authsvc.webhook_sender.client import WebhookClient
from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.webhooks.event import WebhookEvent
from authsvc.webhooks.webhook import Webhook
from authsvc.wiring.webhooks import webhook_client


@frozen
class ReceiverChecks:
    """Checks addresses and sends test events.

    Attributes:
        client: sends one event at a time.
    """

    client: WebhookClient

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where a receiver may be.

        Raises:
            InputRefused: it leads where no receiver may be.
        """
        await self.client.session.resolver.vet_host(origin, team)

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Return what came of sending an event once.

        Raises:
            Overloaded: too much is being sent at this moment; nothing was.
        """
        return (await self.client.send(webhook, event.id, event.body(), secrets)).attempt


@asynccontextmanager
async def receiver_checks(settings: Settings) -> AsyncIterator[ReceiverChecks]:
    """Yield what checks addresses and sends test events.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    async with webhook_client(settings) as client:
        yield ReceiverChecks(client)
