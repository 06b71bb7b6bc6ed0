"""The stores of webhooks and their deliveries, as the use cases need them; see :mod:`authsvc.manage.stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authsvc.audit.entry import Entry
    from authsvc.tenancy.pages import Page
    from authsvc.tenancy.records import App
    from authsvc.tenancy.versioned import Versioned
    from authsvc.webhooks.delivery import Delivery, DeliveryCounts
    from authsvc.webhooks.webhook import Webhook


class WebhookStore(Protocol):
    """Webhooks, by id; lists are oldest first and include disabled ones."""

    async def get(self, webhook_id: str) -> Versioned[Webhook] | None: ...
    async def page(self, team: str | None, after: str | None, limit: int) -> Page[Webhook]: ...
    async def add(self, webhook: Webhook, app: Versioned[App] | None, entry: Entry) -> None: ...
    async def replace(self, old: Versioned[Webhook], new: Webhook, entry: Entry) -> None: ...
    async def remove(self, old: Versioned[Webhook], entry: Entry) -> None: ...


class DeliveryReader(Protocol):
    """Deliveries to webhooks, by id of the webhook."""

    async def newest(self, webhook_id: str, limit: int) -> Sequence[Delivery]: ...
    async def counts(self, webhook_ids: Sequence[str]) -> Sequence[DeliveryCounts]: ...
