"""Interface for requests of the use cases to receivers of webhooks: the rules on addresses, and a test call."""

from collections.abc import Sequence
from typing import Protocol

from authsvc.redaction import Secret
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.webhooks.event import WebhookEvent
from authsvc.webhooks.webhook import Webhook


class WebhookChecks(Protocol):
    """Sends requests to receivers only."""

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that a receiver may have this address; a name that cannot be resolved now is accepted.

        Raises:
            InputRefused: its address is in a network where receivers are not allowed.
        """
        ...

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Send an event once and return the result.

        Raises:
            Overloaded: too many events are being sent; this one was not.
        """
        ...
