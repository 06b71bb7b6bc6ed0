"""Webhooks of teams, receivers that record what they get, and senders on one real Redis."""

import asyncio
import base64
import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, evolve, field

from authsvc.audit.entry import Entry
from authsvc.logs import make_logger
from authsvc.redaction import Secret
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.webhook_deliveries import RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.store.webhooks import RedisWebhooks
from authsvc.upstreams.addresses import AddressRules
from authsvc.upstreams.origin import parse_origin
from authsvc.webhook_sender.attempts import DeliveryAttempts
from authsvc.webhook_sender.client import WebhookClient
from authsvc.webhook_sender.fanout import EventFanout
from authsvc.webhook_sender.sender import WebhookSender
from authsvc.webhooks.delivery import Delivery
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.signature import new_secret, signing_key
from authsvc.webhooks.webhook import SealedSigningSecret, Webhook
from tests.support.builders import NOW
from tests.support.upstream_links import LOOPBACK, Clock, Names, upstream_session
from tests.support.upstream_stub import Answer, Seen, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE, becomes

T = TypeVar("T")

SECRET = new_secret(bytes(range(32)))

ACCEPTED = Answer(204)


def an_event(name: str = "one", team: str = "acme-team", app: str = "acme", **data: object) -> WebhookEvent:
    """Return an event that ``name`` tells apart from others."""
    kind = EventType.PUSHED
    return WebhookEvent(event_id(kind, team, name), kind, NOW, team, app, {"name": name, **data})


@define
class World:
    """An installation whose webhooks all have the same secret.

    Attributes:
        connection: to its Redis.
        authority: vouches for the receivers.
        now: the present of the senders.
        skips: seconds by which their steady clock goes on at each look.
        opened: webhooks whose secrets were opened, in order.
    """

    connection: Connection
    authority: UpstreamAuthority
    now: datetime = NOW
    clock: Clock = field(factory=Clock)
    skips: float = 0.0
    log: io.StringIO = field(factory=io.StringIO)
    waiting: int = 0
    counted: list[str] = field(factory=list)
    dropped: list[int] = field(factory=list)
    has_room: bool = True
    _made: int = 0

    @property
    def records(self) -> Records:
        """The store."""
        return Records(self.connection, Codec())

    @property
    def outbox(self) -> WebhookOutbox:
        """Where events wait."""
        return WebhookOutbox(self.connection, lambda: self.has_room)

    @property
    def deliveries(self) -> RedisWebhookDeliveries:
        """What is delivered."""
        return RedisWebhookDeliveries(self.connection, Codec())

    @property
    def webhooks(self) -> RedisWebhooks:
        """Who wants it."""
        return RedisWebhooks(self.records)

    def entry(self) -> Entry:
        """Return an entry of the audit for a change of a test."""
        self._made += 1
        return Entry(f"test-{self._made}", NOW, "test.done", "system:authsvc")

    async def webhook(self, url: str, team: str = "acme-team", **other: Any) -> Webhook:
        """Add a webhook, as an owner would; its address is not checked."""
        self._made += 1
        origin = parse_origin(url.rpartition("/")[0], plain_http=True)
        made = Webhook(
            id=f"w{self._made:015d}",
            team=team,
            app=None,
            origin=origin,
            path=f"/{url.rpartition('/')[2]}",
            types=None,
            sealed_secret="sealed",
            secret_version=1,
            created_at=NOW + timedelta(seconds=self._made),
            created_by=None,
            changed_at=NOW,
        )
        await self.webhooks.add(evolve(made, **other), None, self.entry())
        return evolve(made, **other)

    async def unseal(self, one: SealedSigningSecret) -> Secret:
        """Open a secret of a webhook: those of all versions but the first are others."""
        return SECRET if one.context.version == 1 else new_secret(bytes([one.context.version]) * 32)

    def monotonic(self) -> float:
        """Return the steady clock, which goes on by :attr:`skips` between two looks."""
        self.clock.seconds += self.skips
        return self.clock.seconds

    @asynccontextmanager
    async def sender(
        self, holder: str = "first", rules: AddressRules = LOOPBACK, names: Names | None = None, deadline: float = 30.0
    ) -> AsyncIterator[WebhookSender]:
        """Yield a sender as a worker has it; it does not run yet."""
        logger = make_logger("info", self.log)
        async with upstream_session(
            self.authority, names=names, rules=rules, clock=self.clock, deadline=deadline
        ) as session:
            fanout = EventFanout(
                self.outbox, self.webhooks, self.deliveries, self.records, holder, lambda: self.now, logger,
                self.dropped.append,
            )  # fmt: skip
            attempts = DeliveryAttempts(
                self.webhooks,
                self.deliveries,
                WebhookClient(session, lambda: self.now, self.monotonic),
                self.unseal,
                holder,
                lambda: self.now,
                self.monotonic,
                lambda: 0.5,
                lambda: f"entry-{holder}-{self.entry().id}",
                self.counted.append,
            )
            yield WebhookSender(
                self.outbox, fanout, self.deliveries, attempts, (), lambda: self.now, logger,
                lambda: self.has_room, self._count,
            )  # fmt: skip

    def _count(self, waiting: int) -> None:
        self.waiting = waiting

    async def listed(self, webhook: Webhook) -> list[Delivery]:
        """Return the deliveries to a webhook, newest first."""
        return await self.deliveries.newest(webhook.id)

    async def tried(self, webhook: Webhook, attempts: int = 1) -> Delivery:
        """Wait until the only delivery to a webhook was tried so often and the last attempt has ended; return it."""

        async def look() -> Delivery | None:
            found = await self.listed(webhook)
            one = found[0] if len(found) == 1 else None
            return one if one is not None and one.attempts == attempts and (one.status or one.reason) else None

        return await eventually(look, f"attempt {attempts} of the delivery")


async def eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Return the first thing that an asynchronous look returns and that is not falsy."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not (found := await look()):
        assert loop.time() < deadline, f"{what}: did not happen within {PATIENCE:g} s"
        await asyncio.sleep(0.02)
    return found


def is_signed(request: Seen) -> bool:
    """Whether a request has the signature that Standard Webhooks defines, computed here anew."""
    said = request.headers
    content = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.digest(signing_key(SECRET), content, hashlib.sha256)).decode()
    return said["webhook-signature"] == f"v1,{wanted}"


def ids(stub: StubUpstream) -> list[str]:
    """Return the ids of what a receiver got, in order."""
    return [request.headers["webhook-id"] for request in stub.seen]


async def received(stub: StubUpstream, count: int) -> Sequence[Seen]:
    """Wait until a receiver got so many requests; return them."""
    await becomes(lambda: len(stub.seen) >= count, f"{count} requests")
    return stub.seen
