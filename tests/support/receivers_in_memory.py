"""Receivers of webhooks that nobody connects to."""

import asyncio
from collections.abc import Sequence

from attrs import define, field

from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.webhooks.event import WebhookEvent
from authsvc.webhooks.webhook import Webhook
from tests.support.builders import NOW
from tests.support.waiting import already


@define
class ReceiversInMemory:
    """Accepts every address but some, and answers what a test has put here.

    Attributes:
        refused: hosts that no receiver may be at.
        attempt: what comes of sending.
        sent: webhook, secrets and event of each call.
        answers: whether they answer, and do not let everybody wait.
    """

    refused: set[str] = field(factory=set)
    attempt: DeliveryAttempt = field(factory=lambda: DeliveryAttempt(NOW, 204, None, 12))
    sent: list[tuple[Webhook, tuple[Secret, ...], WebhookEvent]] = field(factory=list)
    answers: asyncio.Event = field(factory=already)

    async def vet_host(self, origin: Origin, team: str) -> None:  # noqa: ARG002  as the real one
        """Refuse what is to be refused."""
        if origin.host in self.refused:
            raise InputRefused("not there", code="upstream_address_refused", field="url")

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Return what comes of it."""
        await self.answers.wait()
        self.sent.append((webhook, tuple(secrets), event))
        return self.attempt
