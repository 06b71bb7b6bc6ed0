"""What pulls and pushes make of events: each in the step that records the activity, and only for who wants them."""

import json
from datetime import timedelta
from typing import Any

import pytest

from authsvc.activity.event_sink import RecordedEvents
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store import webhook_keys
from authsvc.store.activity_layout import ERA_DAYS, MAX_NETWORKS
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.webhook_deliveries import StoredDelivery
from tests.support.activity import LICENSE, MEMBER, OTHER_LICENSE, blob, digest, event, fill, push
from tests.support.builders import NOW
from tests.webhook_sender.world import World

IMAGE = {"repository": "acme/worker", "tag": "1.0", "digest": digest()}


@pytest.fixture
async def installation(world: World) -> World:
    """Return an installation with apps, licenses and a webhook."""
    await fill(world.connection)
    await world.webhook("https://hooks.example.com/hook")
    return world


async def record(world: World, *events: RegistryEvent) -> None:
    """Record what the registry sends."""
    sink = RedisActivitySink(world.connection, Codec(), lambda: world.has_room)
    await sink.record(events, NOW)


async def told(world: World) -> list[dict[str, Any]]:
    """Return the bodies of what would be sent now, in order, with their ids."""
    (webhook,) = await world.webhooks.of_team("acme-team")
    await world.connection.redis.delete(*webhook_keys_of(webhook.id))
    await world.outbox.lease("test", 600)
    found: list[StoredDelivery] = []
    async with world.sender("test") as sender:
        while await sender.fanout.share_out():
            pass
    while (one := await world.deliveries.next_due(webhook.id, NOW + timedelta(days=9))) is not None:
        found.append(one)
        await world.connection.redis.zrem(webhook_keys.webhook_pending(webhook.id), one.delivery.event)
    return sorted(({"id": one.delivery.event, **json.loads(one.body)} for one in found), key=lambda body: body["type"])


def webhook_keys_of(webhook_id: str) -> tuple[str, ...]:
    """Return the keys of what was delivered before."""
    return webhook_keys.webhook_deliveries(webhook_id), webhook_keys.webhook_bodies(webhook_id)


async def types(world: World) -> list[str]:
    """Return the types of what would be sent now."""
    return [body["type"] for body in await told(world)]


async def test_the_first_pull_of_a_license(installation: World) -> None:
    """Once, however often it is reported and whatever came before; with the license, the image and the network."""
    await record(installation, event(method="HEAD"))
    assert await told(installation) == []
    first = event()
    await record(installation, first, first)
    (body,) = await told(installation)
    assert body["type"] == "license.first_pull"
    assert body["timestamp"] == "2026-08-01T12:00:00Z"
    assert body["data"]["license"]["id"] == LICENSE.removeprefix("license:")
    assert body["data"]["license"]["customer"] == "Initech"
    assert body["data"] == {"license": body["data"]["license"], "image": IMAGE, "network": "203.0.113.0/24"}
    await record(installation, first, event(), event(subject=MEMBER))
    assert await told(installation) == []


async def test_several_licenses_of_one_pull(installation: World) -> None:
    """Each has its own first pull; the license of another app in the same password has none."""
    both = f"license:{','.join(one.removeprefix('license:') for one in (LICENSE, OTHER_LICENSE))}"
    await record(installation, event(subject=f"{both},c000000000000004"))
    bodies = await told(installation)
    assert {body["data"]["license"]["customer"] for body in bodies} == {"Initech", "Hooli"}
    assert len({body["id"] for body in bodies}) == len(bodies) == 2


async def test_a_new_network(installation: World) -> None:
    """A request from another /24 than all before, once; neither the first one of all, nor a neighbour's."""
    await record(installation, event(address="203.0.113.7"))
    assert await types(installation) == ["license.first_pull"]
    await record(installation, event(address="203.0.113.8"), blob(7, address="203.0.113.9"))
    assert await types(installation) == []
    elsewhere = event(address="198.51.100.20", method="HEAD")
    await record(installation, elsewhere, elsewhere, event(address="198.51.100.20"), event(address="198.51.100.21"))
    (body,) = await told(installation)
    assert body["type"] == "license.new_network"
    assert body["data"]["network"] == "198.51.100.0/24"
    assert "198.51.100.2" not in json.dumps(body).replace("198.51.100.0/24", "")
    await record(installation, event(address="2001:db8:1:2::5"), event(address="2001:db8:1:2:9::1"))
    (body,) = await told(installation)
    assert body["data"]["network"] == "2001:db8:1:2::/64"
    await record(installation, event(address="192.0.2.1", subject=MEMBER), event(address=None))
    assert await types(installation) == []


async def test_networks_of_earlier_eras_are_known(installation: World) -> None:
    """A network is new again only after it has been forgotten."""
    sink = RedisActivitySink(installation.connection, Codec())
    first, later = event(address="203.0.113.7"), NOW + timedelta(days=2 * ERA_DAYS)
    await sink.record([first], NOW)
    await sink.record([event(timestamp=later, address="198.51.100.1")], later)
    await sink.record([event(timestamp=later, address="203.0.113.9")], later)
    assert await types(installation) == ["license.first_pull", "license.new_network"]


async def test_a_license_with_too_many_networks(installation: World) -> None:
    """Whether a further one is new is not known any more, so nothing is told."""
    await record(installation, *(event(address=f"10.{number}.0.1") for number in range(MAX_NETWORKS)))
    assert len(await types(installation)) == MAX_NETWORKS
    await record(installation, event(address="192.0.2.1"), event(address="192.0.2.1"))
    assert await types(installation) == []


async def test_a_push(installation: World) -> None:
    """Of a tag, with its digest and by whom; its platforms and layers, deletions and repeats are none."""
    pushed = push(digest=digest(5))
    await record(installation, push(tag=None), pushed, pushed, event("push", "PUT", media_type="x", tag=None))
    await record(installation, event("delete", "DELETE", subject=MEMBER))
    (body,) = await told(installation)
    assert body["type"] == "image.pushed"
    assert body["data"] == {"app": "acme", "image": {**IMAGE, "digest": digest(5)}, "by": MEMBER}


async def test_nothing_without_a_webhook_of_the_team(installation: World) -> None:
    """Another team's app makes no events, and its activity counts all the same."""
    sink = RedisActivitySink(installation.connection, Codec())
    foreign = event(repository="globex/web", subject="license:c000000000000003")
    assert await sink.record([foreign, push(repository="globex/web")], NOW) == RecordedEvents(accepted=2)
    assert not await installation.connection.redis.exists(webhook_keys.WEBHOOK_TEAMS)


async def test_a_full_queue_stops_no_activity(installation: World) -> None:
    """The event is dropped and counted, the pull is recorded."""
    queue = webhook_keys.webhook_events("acme-team")
    await installation.connection.redis.rpush(queue, *["{}"] * 1_000)
    sink = RedisActivitySink(installation.connection, Codec())
    assert await sink.record([event(), push()], NOW) == RecordedEvents(accepted=2)
    assert await installation.outbox.take_drops() == {"acme-team": 2}
    assert await installation.outbox.take_drops() == {}
