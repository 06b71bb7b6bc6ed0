"""What asks the receivers of webhooks for the use cases: the rules on addresses, and a test call."""

from collections.abc import Sequence
from typing import Protocol

from authsvc.redaction import Secret
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.webhooks.event import WebhookEvent
from authsvc.webhooks.webhook import Webhook


class WebhookChecks(Protocol):
    """Asks receivers, and nothing but them."""

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where a receiver may be; a name that cannot be resolved now is accepted.

        Raises:
            InputRefused: it leads where no receiver may be.
        """
        ...

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Return what came of sending an event once.

        Raises:
            Overloaded: too much is being sent at this moment; nothing was.
        """
        ...
