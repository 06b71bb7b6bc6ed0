"""Events of the registry as values, and an installation that records them."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.records import Team
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, make_app, make_license
from tests.support.redis_server import connected

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BLOB = "application/octet-stream"
MEMBER = "member:m000000000000001"
LICENSE = "license:c000000000000001"
OTHER_LICENSE = "license:c000000000000002"
FOREIGN_LICENSE = "license:c000000000000003"
"""Of another team's app."""

_serial = itertools.count()


def digest(number: int = 0) -> str:
    """Return the digest of a numbered image."""
    return f"sha256:{number:064x}"


def event(action: str = "pull", method: str = "GET", **changes: Any) -> RegistryEvent:
    """Return an event with an id of its own: unless told otherwise, a license gets a manifest by its tag."""
    facts: dict[str, Any] = {
        "id": f"event-{next(_serial)}",
        "timestamp": NOW,
        "repository": "acme/worker",
        "media_type": MANIFEST,
        "digest": digest(),
        "size": 700,
        "tag": "1.0",
        "address": "203.0.113.7",
        "subject": LICENSE,
    }
    return RegistryEvent(action=EventAction(action), method=method, **facts | changes)


def push(**changes: Any) -> RegistryEvent:
    """Return the push of a manifest by a member."""
    return event("push", "PUT", **{"subject": MEMBER} | changes)


def blob(size: int, **changes: Any) -> RegistryEvent:
    """Return the download of a blob."""
    return event(media_type=BLOB, size=size, tag=None, **changes)


INITECH = Customer("k000000000000001", "acme-team", "Initech", NOW)
HOOLI = Customer("k000000000000002", "acme-team", "Hooli", NOW)
FOREIGN = Customer("k000000000000003", "globex-team", "Initech", NOW)
"""Of another team."""

LICENSES = (
    make_license("c000000000000001", customer="Initech", customer_id=INITECH.id),
    make_license("c000000000000002", customer="Hooli", customer_id=HOOLI.id),
    make_license("c000000000000003", app="globex", team="globex-team", customer="Initech", customer_id=FOREIGN.id),
    make_license("c000000000000004", app="tools", customer="Initech", customer_id=INITECH.id),
)


@frozen
class Recording:
    """A store with two apps of one team, an app of another, two licenses of the first app and one of the last.

    Attributes:
        connection: to its Redis.
        sink: records events.
        images: reads what is known of images.
    """

    connection: Connection
    sink: RedisActivitySink
    images: RedisActivityImages

    async def record(self, *events: RegistryEvent, now: datetime = NOW) -> None:
        """Record events, one after the other, as the registry sends them."""
        for one in events:
            await self.sink.record([one], now)


async def fill(connection: Connection) -> None:
    """Write the teams, apps, customers and licenses."""
    stores = make_stores(Records(connection, Codec()))
    for team, apps in (("acme-team", ("acme", "tools")), ("globex-team", ("globex",))):
        await stores.teams.add(Team(team, team, NOW), _entry())
        for slug in apps:
            await stores.apps.add(make_app(slug, team=team), _entry())
    for customer in (INITECH, HOOLI, FOREIGN):
        await stores.customers.add(customer, _entry())
    for license_ in LICENSES:
        app = await stores.apps.get(license_.app)
        assert app is not None
        await stores.licenses.add(license_, app, _entry())


def _entry() -> Entry:
    return Entry(f"fill-{next(_serial)}", NOW, "test.done", "system:authsvc")


@asynccontextmanager
async def recording(*options: str) -> AsyncIterator[Recording]:
    """Yield a store of a test's own; its Redis does not wait for the disk unless told otherwise."""
    async with connected(*(options or ("--appendfsync", "no"))) as connection:
        await fill(connection)
        yield Recording(connection, RedisActivitySink(connection, Codec()), RedisActivityImages(connection))
