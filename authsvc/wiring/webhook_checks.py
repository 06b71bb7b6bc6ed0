"""Requests of the use cases to receivers of webhooks, with the rules of this installation."""

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


@frozen(eq=False, repr=False)
class ReceiverChecks:
    """Checks addresses and sends test events.

    Attributes:
        client: sends one event at a time.
    """

    client: WebhookClient

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that a receiver may have this address.

        Raises:
            InputRefused: its address is in a network where receivers are not allowed.
        """
        await self.client.session.resolver.vet_host(origin, team)

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Send an event once and return the result.

        Raises:
            Overloaded: too many events are being sent; this one was not.
        """
        return (await self.client.send(webhook, event.id, event.body(), secrets)).attempt


@asynccontextmanager
async def receiver_checks(settings: Settings) -> AsyncIterator[ReceiverChecks]:
    """Yield an object that checks addresses and sends test events.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    async with webhook_client(settings) as client:
        yield ReceiverChecks(client)
