"""Two servers on one Redis, with real workers, key services and a receiver with TLS: one of them sends."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from attrs import evolve, frozen
from typing_extensions import override

from authsvc.audit.entry import Entry
from authsvc.keys.secrets_dir import create_missing, load_event_bearers
from authsvc.keys.service_keys import LocalKeys
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.store.webhooks import RedisWebhooks
from authsvc.upstreams.origin import parse_origin
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.webhook import Webhook, secret_context
from tests.support.activity import LICENSE, fill
from tests.support.builders import NOW, license_token, make_license
from tests.support.http_client import ask, basic
from tests.support.redis_server import RedisServer, patient
from tests.support.registry_events import EVENT, changed, notification
from tests.support.serve_process import serving
from tests.support.stack import GOOD_PATH, PATIENT, short_folder
from tests.support.tenants import Account
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import becomes
from tests.webhook_sender.world import SECRET, ids, is_signed


class TenAnswers(dict[str, Answer]):
    """Accepts ten requests, and never answers the next one."""

    given = 0

    @override
    def __getitem__(self, path: str) -> Answer:
        self.given += 1
        return Answer(204, delay=0 if self.given <= 10 else 600)


@frozen
class Server:
    """A running one.

    Attributes:
        edge: port for clients.
        inside: port for the registry.
        process: of its parent.
    """

    edge: int
    inside: int
    process: psutil.Process

    def is_connected(self, port: int) -> bool:
        """Whether one of its workers has a connection to a port."""
        found = [self.process, *self.process.children(recursive=True)]
        return any(port in one.raddr for each in found for one in each.net_connections("tcp"))

    def kill(self) -> None:
        """End all of its processes at once, as the end of a machine does."""
        for each in (self.process, *self.process.children(recursive=True)):
            each.send_signal(signal.SIGKILL)


@frozen
class Installation:
    """Two servers.

    Attributes:
        folder: holds everything.
        connection: to their Redis.
        servers: both.
        receiver: gets what is sent.
    """

    folder: Path
    connection: Connection
    servers: tuple[Server, ...]
    receiver: StubUpstream

    @property
    def outbox(self) -> WebhookOutbox:
        """Where events wait."""
        return WebhookOutbox(self.connection)

    async def add_webhook(self) -> None:
        """Add one for everything, whose secret is sealed with the key of the installation."""
        webhook = Webhook(
            id="w000000000000001",
            team="acme-team",
            app=None,
            origin=parse_origin(self.receiver.url, plain_http=False),
            path="/hook",
            types=None,
            sealed_secret="",
            secret_version=1,
            created_at=NOW,
            created_by=None,
            changed_at=NOW,
        )
        sealed = await LocalKeys(self.folder / "secrets").seal(SECRET.reveal().encode(), secret_context(webhook))
        added = Entry("added", NOW, "test.done", "system:authsvc")
        webhooks = RedisWebhooks(Records(self.connection, Codec()))
        await webhooks.add(evolve(webhook, sealed_secret=sealed), None, added)


@asynccontextmanager
async def server(folder: Path, environ: dict[str, str], name: str) -> AsyncIterator[Server]:
    """Run a server."""
    async with serving(environ, folder / f"{name}.log") as served:
        yield Server(served.edge, served.inside, psutil.Process(served.process.pid))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path."""
    with short_folder() as made:
        yield made


@pytest.fixture
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """Run Redis, a receiver and two servers."""
    authority = UpstreamAuthority.make(folder / "ca")
    create_missing(folder / "secrets", datetime.now(UTC))
    redis = RedisServer(folder)
    await redis.start()
    environ = {
        "PATH": GOOD_PATH,
        "AUTHSVC_REDIS_URL": redis.url.reveal(),
        "AUTHSVC_REDIS_DEADLINE": PATIENT,
        "AUTHSVC_SECRETS_DIR": str(folder / "secrets"),
        "AUTHSVC_UPSTREAM_CA_FILE": str(authority.file),
        "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8",
    }
    connection = patient(redis)
    await fill(connection)
    tls = authority.issue("localhost").server_context()
    try:
        async with AsyncExitStack() as stack:
            receiver = stack.enter_context(StubUpstream(tls=tls, answers={"/hook": Answer(204)}))
            starting = [stack.enter_async_context(server(folder, environ, name)) for name in ("one", "two")]
            servers = await asyncio.gather(*starting)
            made = Installation(folder, connection, tuple(servers), receiver)
            await made.add_webhook()
            yield made
    finally:
        await connection.close()
        await redis.stop()


def an_event(number: int) -> WebhookEvent:
    """Return a numbered event."""
    kind = EventType.PUSHED
    return WebhookEvent(event_id(kind, str(number)), kind, NOW, "acme-team", "acme", {"number": number})


async def happens_at_the_edge(installation: Installation) -> None:
    """Let the registry report a first pull, and a revoked license ask for a token; both are told, once."""
    receiver, (one, two) = installation.receiver, installation.servers
    revoked = make_license("c000000000000002", revoked_at=NOW, expires_at=datetime.now(UTC) + timedelta(days=9))
    await installation.connection.redis.set(keys.license_(revoked.id), Codec().encode(revoked))
    bearer = load_event_bearers(installation.folder / "secrets")[0]
    target = {**EVENT["target"], "repository": "acme/worker"}
    pull = notification(changed("actor", name=LICENSE) | {"target": target, "timestamp": datetime.now(UTC).isoformat()})
    reply = ask(two.inside, "POST", "/events/registry", headers={"Authorization": f"Bearer {bearer}"}, body=pull)
    assert reply.status == 200
    shown = basic(Account("license", license_token(revoked.id).text.reveal()))
    for _ in range(3):
        assert ask(one.edge, "GET", "/auth/token?scope=repository:acme/x:pull", headers=shown).status == 401
    await becomes(lambda: sorted(map(delivered, installation.servers)) == [0, 2], "two deliveries by one server")
    bodies = {body["type"]: body["data"] for body in (json.loads(request.body) for request in receiver.seen)}
    assert bodies["license.first_pull"]["license"]["customer"] == "Initech"
    assert bodies["license.denied"]["license"]["id"] == revoked.id
    assert bodies["license.denied"]["reason"] == "license_revoked"
    assert len(receiver.seen) == 2


def delivered(server: Server) -> float:
    """Return how many events a server says that it has delivered."""
    text = ask(server.inside, "GET", "/metrics").body.decode()
    return float(text.partition('authsvc_webhook_attempts_total{outcome="delivered"} ')[2].partition("\n")[0])


async def the_sender_is_killed(installation: Installation) -> None:
    """Let it end in the middle: the other server sends the rest, and again what was in flight, under the same id."""
    receiver = installation.receiver
    events = [an_event(number) for number in range(40)]
    before, receiver.answers = len(receiver.seen), TenAnswers({"/hook": Answer(204)})
    await installation.outbox.add(events)
    await becomes(lambda: len(receiver.seen) - before > 10, "a request in flight")
    (sending,) = [one for one in installation.servers if one.is_connected(receiver.port)]
    sending.kill()
    in_flight = ids(receiver)[-1]
    receiver.answers = {"/hook": Answer(204)}
    await becomes(lambda: {event.id for event in events} <= set(ids(receiver)), "all events")
    await becomes(lambda: ids(receiver).count(in_flight) > 1, "what was in flight comes again")
    assert {one: count for one, count in Counter(ids(receiver)).items() if count > 1} == {in_flight: 2}


async def test_two_servers(installation: Installation) -> None:
    """What happens at either is sent, signed, by one of them; and nothing is lost when that one is killed."""
    await happens_at_the_edge(installation)
    await the_sender_is_killed(installation)
    assert all(map(is_signed, installation.receiver.seen))
