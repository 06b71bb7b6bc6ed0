"""Webhooks in a worker: recording and sending of events, with a separate Redis connection."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import SystemRandom

from authsvc.audit.entry import ChangeLog
from authsvc.keys.client import KeyServiceClient
from authsvc.logs import Logger
from authsvc.metrics.catalogue import WEBHOOK_ATTEMPTS, WEBHOOKS_DROPPED, WEBHOOKS_WAITING
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.redaction import Secret
from authsvc.settings import Settings
from authsvc.store.apps import RedisApps
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.upstreams import RedisUpstreams
from authsvc.store.webhook_deliveries import RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.store.webhook_watches import RedisWebhookWatches
from authsvc.store.webhooks import RedisWebhooks
from authsvc.webhook_sender.attempts import DeliveryAttempts
from authsvc.webhook_sender.client import WebhookClient
from authsvc.webhook_sender.denials import DenialRecorder
from authsvc.webhook_sender.ending_licenses import EndingLicenses
from authsvc.webhook_sender.failing_credentials import FailingCredentials
from authsvc.webhook_sender.fanout import EventFanout
from authsvc.webhook_sender.recent_secrets import RecentSecrets
from authsvc.webhook_sender.sender import LAST_WORDS, Watcher, WebhookSender
from authsvc.webhooks.webhook import SealedSigningSecret
from authsvc.wiring import clock
from authsvc.wiring.upstreams import upstream_session

ID_BYTES = 16


@asynccontextmanager
async def webhook_client(settings: Settings) -> AsyncIterator[WebhookClient]:
    """Yield a client that sends one event at a time, within the address rules of this installation.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    async with upstream_session(settings) as session:
        yield WebhookClient(session, clock, time.monotonic)


@asynccontextmanager
async def webhooks_of_worker(
    settings: Settings,
    keys: KeyServiceClient | None,
    has_room: Callable[[], bool],
    log: ChangeLog,
    logger: Logger,
    slot: Slot,
) -> AsyncIterator[DenialRecorder]:
    """Send events in the background; yield the recorder of outcomes of token requests.

    Without a key service signing secrets cannot be unsealed, and another server sends.
    """
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    outbox = WebhookOutbox(connection, has_room)
    denials = DenialRecorder(outbox, logger, clock)
    recording = asyncio.create_task(denials.run())
    try:
        async with AsyncExitStack() as stack:
            if keys is not None:
                await stack.enter_async_context(_sending(settings, keys, outbox, log, logger, slot))
            yield denials
    finally:
        await ended(recording)
        await denials.finish()
        await connection.close()


@asynccontextmanager
async def _sending(
    settings: Settings, keys: KeyServiceClient, outbox: WebhookOutbox, log: ChangeLog, logger: Logger, slot: Slot
) -> AsyncIterator[None]:
    """Send whenever this worker gets the lease."""
    records = Records(outbox.connection, Codec(), log)
    webhooks, deliveries = RedisWebhooks(records), RedisWebhookDeliveries(outbox.connection, records.codec)
    holder = new_id()
    async with webhook_client(settings) as client:
        attempts = DeliveryAttempts(
            webhooks,
            deliveries,
            client,
            RecentSecrets(_unseal(keys), time.monotonic).open,
            holder,
            clock,
            time.monotonic,
            SystemRandom().random,
            new_id,
            lambda outcome: slot.inc(WEBHOOK_ATTEMPTS, outcome),
        )
        sender = WebhookSender(
            outbox,
            EventFanout(
                outbox, webhooks, deliveries, records, holder, clock, logger,
                lambda count: slot.inc(WEBHOOKS_DROPPED, by=count),
            ),
            deliveries,
            attempts,
            watchers(records, outbox, webhooks, deliveries),
            clock,
            logger,
            outbox.has_room,
            lambda count: slot.set(WEBHOOKS_WAITING, count),
        )  # fmt: skip
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            sender.stop()
            await asyncio.wait({task}, timeout=2 * LAST_WORDS)
            await ended(task)


def watchers(
    records: Records, outbox: WebhookOutbox, webhooks: RedisWebhooks, deliveries: RedisWebhookDeliveries
) -> Sequence[Watcher]:
    """Return the watchers, which find events that arise with time."""
    watches = RedisWebhookWatches(records)
    return (
        EndingLicenses(watches, webhooks, RedisApps(records), outbox, deliveries).look,
        FailingCredentials(watches, webhooks, RedisUpstreams(records), outbox).look,
    )


def _unseal(keys: KeyServiceClient) -> Callable[[SealedSigningSecret], Awaitable[Secret]]:
    async def unseal(one: SealedSigningSecret) -> Secret:
        return Secret((await keys.unseal(one.sealed, one.context)).decode())

    return unseal


def new_id() -> str:
    """Return a random name of a sender, or the id of an audit entry."""
    return secrets.token_hex(ID_BYTES)
