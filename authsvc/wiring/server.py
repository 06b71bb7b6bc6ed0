"""A worker: both listeners and all of its components."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from aiohttp import web
from attrs import define, field, frozen

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.audit.recorder import AuditRecorder
from authsvc.audit.retention import Retention
from authsvc.audit.token_event import AuditedRequest
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import Lane, PasswordVerifier
from authsvc.issuance import Issuance, Issued, Lifetimes
from authsvc.keys.client import KeyServiceClient
from authsvc.license_file import key_document
from authsvc.logs import Logger
from authsvc.manage.tokens import SignIns
from authsvc.metrics.catalogue import (
    AUDIT_BUDGET,
    AUDIT_LOST,
    AUDIT_USED,
    AUDIT_WAITING,
    PASSWORDS_WAITING,
    STORE_ERRORS,
    STORE_SECONDS,
    UNCLEAR_CLIENTS,
)
from authsvc.metrics.hashing import CountedThreads
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.preflight import Preflight
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.waiting import ended
from authsvc.registries.ours import OurRegistry
from authsvc.settings import Settings
from authsvc.signing.keyring import Keyring
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.cached_reads import CachedFacts, CachedLinks, RecordReads
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.indexing import Indexing
from authsvc.store.member_credentials import refresh_tokens
from authsvc.store.migration import Migration
from authsvc.store.records import Records
from authsvc.store.throttle import RedisThrottle
from authsvc.store.usage import RedisUsage
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.web.listener import Drain
from authsvc.web.metrics import CountedIssuance, metrics
from authsvc.web.ops import EdgeReadiness, Readiness, license_keys, livez
from authsvc.web.portal.root_redirect import root_redirect
from authsvc.web.preflight import PreflightEndpoint
from authsvc.web.token import AuditSink, TokenEndpoint
from authsvc.webhook_sender.denials import DenialRecorder
from authsvc.wiring import clock
from authsvc.wiring.api import management_applications
from authsvc.wiring.events import events_endpoint
from authsvc.wiring.health import HealthReport
from authsvc.wiring.ids import Ids
from authsvc.wiring.image_deletions import SessionDeletions
from authsvc.wiring.images import indexed_registry, registry_images
from authsvc.wiring.keys import system_tokens
from authsvc.wiring.listeners import listeners, served_routes
from authsvc.wiring.proxy import proxy_endpoint
from authsvc.wiring.record_cache import record_cache
from authsvc.wiring.room import watched_room
from authsvc.wiring.tls import watched_certificate
from authsvc.wiring.webhooks import webhooks_of_worker
from authsvc.worker_status import DATA_VERSION

AUDIT_ID_BYTES = 16

DECODED_RECORDS = 1_024
"""Records that stay decoded in addition to the cache: those of members, who are looked up by address."""


@define
class Live:
    """The state of a worker that changes while it runs, and its client of the key service.

    Attributes:
        keys: the client; None when there is no key service.
        keyring: the signing certificate.
        license_keys: the published JWK set.
        event_bearers: SHA-256 of each bearer that the registry may send with its events.
        nginx_secrets: SHA-256 of each secret that nginx may send for pulls of linked registries.
    """

    keys: KeyServiceClient | None = None
    keyring: Keyring = field(factory=Keyring)
    license_keys: dict[str, Any] = field(factory=lambda: {"keys": []})
    event_bearers: tuple[bytes, ...] = ()
    nginx_secrets: tuple[bytes, ...] = ()

    def publish(self, jwk_set: dict[str, Any]) -> None:
        """Publish other license keys from now on."""
        self.license_keys = jwk_set


@frozen
class Counting:
    """The metrics of a worker.

    Attributes:
        shared_metrics: of all workers of the server.
        slot: of this worker.
    """

    shared_metrics: SharedMetrics
    slot: Slot

    def store_command(self, seconds: float, answered: bool) -> None:  # noqa: FBT001  the signature of an observer
        """Count one command to Redis."""
        self.slot.observe(STORE_SECONDS, seconds)
        if not answered:
            self.slot.inc(STORE_ERRORS)

    def password_waits(self, lane: Lane, change: int) -> None:
        """Count one password check more or less that waits."""
        self.slot.inc(PASSWORDS_WAITING, lane, by=change)


@frozen
class Hashing:
    """The parameters of password checks in a worker.

    Attributes:
        threads: how many it may check at once.
        guess_key: key of the digests by which wrong passwords are recognised; the same in all workers of a server.
    """

    threads: int
    guess_key: bytes


@asynccontextmanager
async def running_worker(
    settings: Settings,
    live: Live,
    sockets: ListeningSockets,
    logger: Logger,
    hashing: Hashing,
    counting: Counting,
) -> AsyncIterator[Drain]:
    """Serve every listener until the context ends; then running requests finish.

    Yields an object that drains them.
    """
    async with AsyncExitStack() as stack:
        connection = Connection(settings.redis_url, counting.store_command, deadline=settings.redis_deadline)
        stack.push_async_callback(connection.close)
        codec, throttle = Codec(DECODED_RECORDS), RedisThrottle(connection)
        certificate = await stack.enter_async_context(watched_certificate(settings, logger, counting.slot))

        watches = await stack.enter_async_context(watched_room(settings, connection, logger, counting.slot))
        has_room, has_disk = watches.has_room, watches.store_disk.has_room
        cache = await stack.enter_async_context(record_cache(settings, connection, logger, counting.slot))
        facts, cached = RedisCredentialFacts(connection, codec, cache), CachedFacts(cache)
        usage = RedisUsage(connection, logger, has_disk)
        stack.push_async_callback(usage.flush)
        stack.push_async_callback(ended, asyncio.create_task(usage.run()))
        recorder = await stack.enter_async_context(_audit(settings, logger, counting.slot, has_disk))
        sending = webhooks_of_worker(settings, live.keys, has_room, _change_log(logger), logger, counting.slot)
        denials = await stack.enter_async_context(sending)
        await stack.enter_async_context(_indexing(settings, logger))
        verifier = stack.enter_context(_verifier(hashing, counting))
        passwords = _passwords(verifier, throttle, hashing, counting, logger)
        authenticator = _authenticator(settings, facts, passwords, throttle, usage, cached)
        service, record, ids = settings.public_url.authority, _recording(recorder, denials), _ids()
        issuance = _issuance(settings, authenticator, live, Records(connection, codec, _change_log(logger)), ids)
        tokens = system_tokens(settings, live.keyring)
        session = await stack.enter_async_context(
            indexed_registry(settings, tokens, new_audit_id(), logger, counting.slot, has_room)
        )
        preflight = Preflight(authenticator, OurRegistry(session), tokens, service)
        links, nginx = CachedLinks(RecordReads(connection, codec, cache), cache), live.nginx_secrets
        proxied = proxy_endpoint(settings, live.keys, links, nginx, has_room, recorder, logger, counting.slot)
        edge_routes = [
            *TokenEndpoint(CountedIssuance(issuance, counting.slot), logger, clock, record).routes(),
            *PreflightEndpoint(preflight, service, logger, clock, record).routes(),
            *_public_routes(live, service),
            *(await stack.enter_async_context(proxied)).routes(),
        ]
        applications = await stack.enter_async_context(
            management_applications(
                settings,
                live.keys,
                *(registry_images(session, tokens), preflight),
                partial(SessionDeletions, session, tokens),
                passwords,
                verifier,
                usage.record,
                _change_log(logger),
                recorder.record_denied,
                recorder.record,
                logger,
                counting.slot,
            )
        )
        events = await stack.enter_async_context(
            events_endpoint(settings, live.event_bearers, codec, has_room, counting.slot, logger)
        )
        parts = (connection, certificate, watches, counting.shared_metrics, logger)
        report = HealthReport(settings, live.keys, live.keyring, *parts)
        stack.push_async_callback(ended, asyncio.create_task(report.keep_measuring(counting.slot)))
        readiness = report.readiness()
        status_routes = [*readiness.routes(), metrics(counting.shared_metrics, clock)]
        served = served_routes(sockets, [*edge_routes, _for_balancers(readiness)], applications, status_routes, events)
        yield await stack.enter_async_context(listeners(settings, served, ids.request_id, logger, counting.slot))


def _recording(recorder: AuditRecorder, denials: DenialRecorder) -> AuditSink:
    """Return the function that records the outcome of every request, for the audit and for webhooks."""

    def record(asked: AuditedRequest, outcome: Issued | Exception) -> None:
        recorder.record(asked, outcome)
        denials.record(asked, outcome)

    return record


def _ids() -> Ids:
    return Ids(secrets.token_bytes, time.time)


def _public_routes(live: Live, service: str) -> list[web.AbstractRouteDef]:
    """Return the public routes."""
    keys = license_keys(lambda: key_document(service, live.license_keys["keys"]))
    return [keys, web.get("/livez", livez), *root_redirect()]


def _for_balancers(readiness: Readiness) -> web.RouteDef:
    return web.get("/readyz", EdgeReadiness(readiness.is_ready, asyncio.get_running_loop().time).readyz)


def _authenticator(
    settings: Settings,
    facts: RedisCredentialFacts,
    passwords: ThrottledPasswords,
    throttle: RedisThrottle,
    usage: RedisUsage,
    cached: CachedFacts,
) -> Authenticator:
    """Return the authenticator; it uses the cache instead of Redis if the setting allows it."""
    recent = cached if settings.degraded_pulls else None
    return Authenticator(facts, passwords, throttle, on_use=usage.record, cached=cached, recent=recent)


def _issuance(settings: Settings, authenticator: Authenticator, live: Live, records: Records, ids: Ids) -> Issuance:
    """Return the issuer of tokens, and of refresh tokens if the setting is on."""
    sign_ins = SignIns(refresh_tokens(records), secrets.token_bytes)
    return Issuance(
        authenticator,
        live.keyring,
        service=settings.public_url.authority,
        lifetimes=Lifetimes(settings.pull_token_life, settings.push_token_life),
        new_token_id=ids.token_id,
        sign_ins=sign_ins if settings.refresh_tokens else None,
    )


@contextmanager
def _verifier(hashing: Hashing, counting: Counting) -> Iterator[PasswordVerifier]:
    """Yield the password verifier, with its own threads."""
    executor = CountedThreads(hashing.threads, counting.slot)
    try:
        yield PasswordVerifier(executor, hashing.threads, on_waiting=counting.password_waits)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _passwords(
    verifier: PasswordVerifier, throttle: RedisThrottle, hashing: Hashing, counting: Counting, logger: Logger
) -> ThrottledPasswords:
    """Return the throttled password checks."""
    reported: set[str] = set()

    def report(network: str) -> None:
        counting.slot.set(UNCLEAR_CLIENTS, 1)
        if not reported:
            logger.warning("clients.unclear", network=network)
            reported.add(network)

    cache = PasswordCache(secrets.token_bytes(32))
    return ThrottledPasswords(verifier, cache, throttle, hashing.guess_key, on_unclear=report)


@asynccontextmanager
async def _audit(
    settings: Settings, logger: Logger, slot: Slot, has_room: Callable[[], bool]
) -> AsyncIterator[AuditRecorder]:
    """Yield the recorder of decisions, with a separate connection, so that requests do not wait for the audit."""
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    stream = RedisAudit(connection, settings.audit_budget * 1024 * 1024)
    recorder = AuditRecorder(stream, logger, clock, new_audit_id, settings.audit_groups, has_room)
    retention = Retention(stream, settings.audit_export_dir, recorder.append, logger, clock, new_audit_id)
    counted: Counter[str] = Counter()

    def count() -> None:
        slot.set(AUDIT_USED, retention.used)
        slot.set(AUDIT_BUDGET, stream.share)
        slot.set(AUDIT_WAITING, recorder.waiting)
        for reason, lost in (recorder.losses - counted).items():
            slot.inc(AUDIT_LOST, reason, by=lost)
        counted.update(recorder.losses - counted)

    tasks = [asyncio.create_task(retention.run(count)), asyncio.create_task(recorder.run())]
    try:
        yield recorder
    finally:
        for task in tasks:
            await ended(task)
        await recorder.finish()
        count()
        await connection.close()


@asynccontextmanager
async def _indexing(settings: Settings, logger: Logger) -> AsyncIterator[None]:
    """Add index entries to older records in the background, with a separate connection."""
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    workers = RedisWorkerRegistry(connection, Codec())

    async def only_new() -> bool:
        return all(worker.data_version >= DATA_VERSION for worker in await workers.list())

    migration = Migration(Records(connection, Codec()), secrets.token_bytes)
    task = asyncio.create_task(Indexing(migration, only_new, new_audit_id(), clock, logger).run())
    try:
        yield
    finally:
        await ended(task)
        await connection.close()


def _change_log(logger: Logger) -> ChangeLog:
    def write(entry: Entry) -> None:
        logger.info(entry.event, actor=entry.actor, id=entry.id, **entry.facts)

    return write


def new_audit_id() -> str:
    """Return the id of a batch, or of an entry of the audit about itself."""
    return secrets.token_hex(AUDIT_ID_BYTES)
