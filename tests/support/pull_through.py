"""Pull-through in one process: the real endpoint behind a real nginx, a real Redis, and links that a test makes."""

import io
import ipaddress
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from attrs import define, evolve, field

from authsvc.audit.upstream_pull import UpstreamPull
from authsvc.issuance import ISSUER
from authsvc.logs import make_logger
from authsvc.metrics.catalogue import SlotLayout
from authsvc.metrics.metric import Metric
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.registries.upstream.client import UpstreamClient
from authsvc.spec.claims import Access, Claims
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store.connection import Connection
from authsvc.store.upstream_contents import RedisUpstreamContents
from authsvc.store.upstream_tags import RedisUpstreamTags
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.tag_policy import TagPolicy
from authsvc.web.client import ClientReader
from authsvc.web.listener import Listener, make_web_app
from authsvc.web.middleware import around
from authsvc.web.proxy.activity import PullActivity
from authsvc.web.proxy.counts import PullCounts
from authsvc.web.proxy.endpoint import ProxyEndpoint, TokenRules
from authsvc.web.proxy.link_shares import LinkShares
from authsvc.web.proxy.nginx_only import NginxOnly
from authsvc.web.proxy.pulls import Pulls
from authsvc.web.proxy.tag_lists import TagLists
from authsvc.web.proxy.tags import TagResolver
from tests.support.builders import SERVICE, Root
from tests.support.front import NGINX_SECRET, Answer, Front, running_front
from tests.support.redis_server import connected
from tests.support.upstream_links import Clock, upstream_client
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE

REALM = f"https://{SERVICE}/auth/token"


@define
class MemoryLinks:
    """Links of a test, by app and name."""

    links: dict[tuple[str, str], UpstreamLink] = field(factory=dict)

    async def find(self, app: str, name: str) -> UpstreamLink | None:
        """Return the link."""
        return self.links.get((app, name))

    def put(self, *links: UpstreamLink) -> None:
        """Link, or change a link."""
        self.links |= {(link.app, link.name): link for link in links}


@define
class MemoryHealth:
    """News of links, in order."""

    news: list[tuple[str, str]] = field(factory=list)

    async def note_good(self, link: UpstreamLink, now: datetime) -> None:
        """Note that all is well."""
        assert now.tzinfo
        self.news.append((link.id, "good"))

    async def note_error(self, link: UpstreamLink, now: datetime, code: str, sentence: str) -> None:
        """Note what failed."""
        assert now.tzinfo
        assert sentence
        self.news.append((link.id, code))


@define(eq=False, slots=False)
class WatchedShares(LinkShares):
    """Shares that say how often a turn was asked for, and in which nobody waits too long on a slow machine."""

    patience: float = PATIENCE
    asked: int = 0

    @asynccontextmanager
    async def take(self, link: str, subject: str) -> AsyncIterator[None]:
        """Hold a turn."""
        self.asked += 1
        async with super().take(link, subject):
            yield


@define
class MovingClock:
    """The wall clock, and how far a test has moved it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.ahead


@define
class PullThrough:
    """Everything between a client and linked registries.

    Attributes:
        front: nginx.
        folder: of nginx.
        links: what is linked.
        health: what was noted of it.
        clock: of the endpoint.
        connection: to Redis.
        root: signs tokens.
        log: of the endpoint.
        seconds: by which the life of upstream tokens is told.
        events: what counts as activity.
        unserved: what goes to the audit.
        metrics: what was counted.
        edge_port: where the endpoint listens, beside nginx.
        shares: turns at each link.
        client: asks linked registries.
    """

    front: Front
    folder: Path
    links: MemoryLinks
    health: MemoryHealth
    clock: MovingClock
    connection: Connection
    root: Root
    log: io.StringIO
    seconds: Clock
    events: list[RegistryEvent]
    unserved: list[UpstreamPull]
    metrics: SharedMetrics
    edge_port: int
    shares: WatchedShares
    client: UpstreamClient

    def counted(self, metric: Metric) -> dict[str, int]:
        """Return what was counted, by the label, without what was not."""
        counts = {"".join(labels): self.metrics.cells(metric, labels)[0][0] for labels in metric.series}
        return {label: count for label, count in counts.items() if count}

    def token(self, *repositories: str, subject: str = "license:abc") -> str:
        """Return a registry token that pulls ``repositories``."""
        now = self.clock()
        claims = Claims(
            issuer=ISSUER,
            subject=subject,
            audience=SERVICE,
            issued_at=now,
            expires_at=now + timedelta(minutes=5),
            token_id="t",
            access=tuple(Access("repository", name, ("pull",)) for name in repositories),
        )
        return self.root.leaf(now).sign(claims.to_json())

    async def ask(self, method: str, repository: str, rest: str, *headers: str, subject: str = "license:abc") -> Answer:
        """Send a request with a token of ``subject`` for ``repository``."""
        token = self.token(repository, subject=subject)
        lines = "".join(f"{line}\r\n" for line in (f"Authorization: Bearer {token}", *headers))
        text = f"{method} /v2/{repository}/{rest} HTTP/1.1\r\nHost: typed.example\r\n{lines}\r\n"
        return await self.front.ask(text.encode(), bodiless=method == "HEAD")

    async def ask_beside_nginx(self, repository: str, rest: str, *headers: str) -> Answer:
        """Send a GET to the endpoint itself, as somebody does who reaches its listener."""
        return await evolve(self, front=evolve(self.front, port=self.edge_port)).get(
            rest, *headers, repository=repository
        )

    async def get(
        self,
        rest: str,
        *headers: str,
        repository: str = "proxy/shop/stub/org/image",
        subject: str = "license:abc",
    ) -> Answer:
        """Send a GET."""
        return await self.ask("GET", repository, rest, *headers, subject=subject)

    async def head(self, rest: str, repository: str = "proxy/shop/stub/org/image") -> Answer:
        """Send a HEAD."""
        return await self.ask("HEAD", repository, rest)


def code_of(answer: Answer) -> tuple[int, str]:
    """Return status and code of an error."""
    (error,) = json.loads(answer.body)["errors"]
    return answer.status, error["code"]


@asynccontextmanager
async def pull_through(
    folder: Path,
    port: int,
    authority: UpstreamAuthority,
    *,
    secrets: dict[tuple[str, int], str] | None = None,
    policy: TagPolicy | None = None,
) -> AsyncIterator[PullThrough]:
    """Run all of it; nginx and the client trust ``authority``."""
    clock, links, health = MovingClock(), MemoryLinks(), MemoryHealth()
    events: list[RegistryEvent] = []
    unserved: list[UpstreamPull] = []
    root, log = Root.make(clock()), io.StringIO()
    logger = make_logger("info", log)
    rules = TokenRules(REALM, SERVICE, lambda: (root.certificate,), clock)
    policy = policy or TagPolicy(timedelta(minutes=1), timedelta(days=7))
    seconds = Clock()
    shared = SharedMetrics.make(1, SlotLayout())
    counts = PullCounts(shared.slot(0))
    async with (
        connected() as connection,
        upstream_client(authority, secrets=secrets, clock=seconds, answered=counts.answered) as client,
    ):
        memory = RedisUpstreamTags(connection, timedelta(days=8))
        shares = WatchedShares()
        resolver = TagResolver(client, memory, policy, clock, shares)
        lists = TagLists(client, shares, policy.interval, clock)
        ids = map(str, itertools.count())
        activity = PullActivity(RedisUpstreamContents(connection), events.append, lambda: next(ids), clock)
        pulls = Pulls(
            *(links, client, resolver, lists, shares, activity, health, counts, unserved.append, logger, clock)
        )
        nginx = NginxOnly([sha256(one.encode()).digest() for one in ("newer", NGINX_SECRET)], logger)
        endpoint = ProxyEndpoint(nginx, rules, pulls, logger)
        reader = ClientReader((ipaddress.ip_network("127.0.0.0/8"),))
        app = make_web_app(endpoint.routes(), around(logger, SERVICE, lambda: "r1", reader, []))
        listener = Listener(app)
        with socket.create_server(("127.0.0.1", 0)) as bound:
            await listener.start(bound)
            edge_port = bound.getsockname()[1]
            address = f"127.0.0.1:{edge_port}"
            async with running_front(folder, port, edge_upstream=address, ca_file=str(authority.file)) as front:
                yield PullThrough(
                    *(front, folder, links, health, clock, connection, root, log, seconds, events, unserved),
                    *(shared, edge_port, shares, client),
                )
            await listener.close()
