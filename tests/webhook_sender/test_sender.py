"""Events reach receivers: signed, at least once, from one sender, whatever the receiver answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from authsvc.errors import StoreUnavailable
from authsvc.processes.waiting import ended
from authsvc.store import keys, webhook_deliveries, webhook_keys
from authsvc.store.webhook_deliveries import MAX_WAITING, RedisWebhookDeliveries, StoredDelivery
from authsvc.store.webhook_outbox import MAX_EVENTS_OF_TEAM
from authsvc.upstreams.addresses import AddressRules
from authsvc.webhook_sender import attempts as attempting
from authsvc.webhook_sender.client import ADDRESS_REFUSED
from authsvc.webhook_sender.sender import AT_ONCE_OF_A_TEAM, WebhookSender
from authsvc.webhooks.delivery import DeliveryState
from authsvc.webhooks.event import EventType, WebhookEvent
from authsvc.webhooks.schedule import GIVE_UP_AFTER, MAX_ATTEMPTS
from tests.support.builders import NOW
from tests.support.ports import free_port
from tests.support.redis_server import patient, redis_server
from tests.support.upstream_links import LOOPBACK, Names
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import becomes
from tests.webhook_sender.world import ACCEPTED, World, an_event, eventually, ids, is_signed, received

PUBLIC = "hooks.example.com"


@asynccontextmanager
async def running(*senders: WebhookSender) -> AsyncIterator[None]:
    """Run senders as workers do."""
    tasks = [asyncio.create_task(one.run()) for one in senders]
    try:
        yield
    finally:
        await ended(*tasks)


async def test_an_event_arrives_signed_and_once(world: World, receiver: StubUpstream) -> None:
    """Over TLS, in the form of Standard Webhooks, at each webhook that wants it and at no other."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    unwanted = (
        await world.webhook(f"{receiver.url}/other", types=(EventType.DENIED,)),
        await world.webhook(f"{receiver.url}/other", app="tools"),
        await world.webhook(f"{receiver.url}/other", team="globex-team"),
    )
    event = an_event(tag="1.0")
    async with world.sender() as sender, running(sender):
        assert await world.outbox.add([event, event]) == 1
        assert await world.outbox.add([event]) == 0
        delivery = await world.tried(webhook)
    (request,) = receiver.seen
    assert (request.method, request.path, request.body) == ("POST", "/hook", event.body())
    assert json.loads(request.body)["data"] == {"name": "one", "tag": "1.0"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == event.id
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert is_signed(request)
    assert delivery.state is DeliveryState.DELIVERED
    assert (delivery.status, delivery.reason, delivery.next_at) == (204, None, None)
    assert [await world.listed(one) for one in unwanted] == [[], [], []]
    (counts,) = await world.deliveries.counts([webhook.id])
    assert (counts.delivered, counts.failed, counts.waiting, counts.failing_since) == (1, 0, 0, None)
    assert world.counted == ["delivered"]


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer(500), 500, "the receiver answered 500"),
        (Answer(404, body=b"x" * 10_000_000), 404, "the receiver answered 404"),
        (Answer(302, (("Location", "/elsewhere"),)), 302, "no redirect is followed"),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), None, "broke off, or its answer is not HTTP"),
    ],
    ids=["fails", "long", "redirects", "no-http"],
)
async def test_what_fails_is_sent_again(
    world: World, receiver: StubUpstream, answer: Answer, status: int | None, reason: str
) -> None:
    """Later, under the same id, with the same body and a new time; until the receiver accepts it."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    receiver.answers["/hook"] = answer
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event()])
        failed = await world.tried(webhook)
        assert failed.state is DeliveryState.WAITING
        assert failed.status == status
        assert reason in str(failed.reason)
        assert failed.next_at == NOW + timedelta(seconds=10)
        receiver.answers["/hook"] = ACCEPTED
        world.now += timedelta(seconds=11)
        delivery = await world.tried(webhook, 2)
    assert delivery.state is DeliveryState.DELIVERED
    first, second = receiver.asked("/hook")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == an_event().id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 11
    assert is_signed(first)
    assert is_signed(second)
    assert receiver.asked("elsewhere") == []


async def test_a_receiver_that_does_not_answer(world: World, receiver: StubUpstream) -> None:
    """It is given up after a while, and sent to again later."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    receiver.answers["/hook"] = Answer(204, delay=600)
    async with world.sender(deadline=1.0) as sender, running(sender):
        await world.outbox.add([an_event()])
        failed = await world.tried(webhook)
    assert (failed.state, failed.status) == (DeliveryState.WAITING, None)
    assert "did not answer in time" in str(failed.reason) or "no connection" in str(failed.reason)  # TLS may take long


async def test_a_receiver_that_is_down(world: World) -> None:
    """A day later the delivery is listed as failed; nothing is tried again."""
    webhook = await world.webhook(f"https://localhost:{free_port()}/hook")
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event()])
        for attempt in range(1, MAX_ATTEMPTS):
            delivery = await world.tried(webhook, attempt)
            assert delivery.next_at is not None
            world.now, world.clock.seconds = delivery.next_at + timedelta(minutes=1), world.clock.seconds + 3600
        last = await world.tried(webhook, MAX_ATTEMPTS)
        assert timedelta(hours=20) < world.now - NOW < timedelta(hours=30)
        assert (last.state, last.next_at) == (DeliveryState.FAILED, None)
        assert "no connection" in str(last.reason)
        assert await world.deliveries.count_waiting() == 0
    (counts,) = await world.deliveries.counts([webhook.id])
    assert (counts.failed, counts.failures, counts.failing_since) == (1, MAX_ATTEMPTS, NOW)
    assert world.counted == ["retried"] * (MAX_ATTEMPTS - 1) + ["failed"]


async def test_a_receiver_that_is_gone(world: World, receiver: StubUpstream) -> None:
    """410 disables the webhook, which the audit records; what waited for it has failed, and no event follows."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    receiver.answers["/hook"] = Answer(410)
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event("one"), an_event("two")])
        await _disabled(world, webhook.id, "410")
        await eventually(lambda: _failed(world, webhook.id, 2), "two failed deliveries")
        await world.outbox.add([an_event("three")])
        await eventually(lambda: _shared_out(world), "the event is shared out")
    assert len(receiver.seen) == 1
    stored: Any = await world.connection.redis.xrange(keys.AUDIT)
    (entry,) = [json.loads(row[b"entry"]) for _, row in stored if b"webhook.disabled" in row[b"entry"]]
    assert (entry["webhook"], entry["team"], entry["actor"]) == (webhook.id, "acme-team", "system:authsvc")


async def test_a_webhook_that_never_works(world: World, receiver: StubUpstream) -> None:
    """It is disabled after days of failures, and a success in between begins the count anew."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    async with world.sender() as sender, running(sender):
        receiver.answers["/hook"] = Answer(500)
        for name, answer, passes in (
            ("one", Answer(500), GIVE_UP_AFTER - timedelta(hours=1)),
            ("two", ACCEPTED, timedelta(hours=2)),
            ("three", Answer(500), GIVE_UP_AFTER - timedelta(hours=1)),
            ("four", Answer(500), timedelta(hours=2)),
        ):
            await world.connection.redis.delete(*webhook_deliveries.delivery_keys(webhook.id)[:4])
            receiver.answers["/hook"] = answer
            await world.outbox.add([an_event(name)])
            await world.tried(webhook)
            found = await world.webhooks.get(webhook.id)
            assert found is not None
            assert found.record.disabled_at is None, name
            world.now += passes
        await world.connection.redis.delete(*webhook_deliveries.delivery_keys(webhook.id)[:4])
        await world.outbox.add([an_event("five")])
        await _disabled(world, webhook.id, "every attempt has failed for 5 days")


async def _disabled(world: World, webhook_id: str, why: str) -> None:
    async def look() -> str | None:
        found = await world.webhooks.get(webhook_id)
        return None if found is None else found.record.disabled_reason

    assert why in await eventually(look, "the webhook is disabled")


async def _failed(world: World, webhook_id: str, count: int) -> bool:
    found = await world.deliveries.newest(webhook_id)
    return [one.state for one in found] == [DeliveryState.FAILED] * count


async def _shared_out(world: World) -> bool:
    return not await world.connection.redis.exists(webhook_keys.WEBHOOK_TEAMS)


# --- where events go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [AddressRules(), LOOPBACK], ids=["checked", "mutant"])
@pytest.mark.parametrize("host", ["127.0.0.1", PUBLIC], ids=["literal", "rebound-name"])
async def test_a_private_address_gets_nothing(
    world: World, receiver: StubUpstream, host: str, rules: AddressRules
) -> None:
    """Neither by its literal nor by a name that leads there since the webhook was saved; without the check it would."""
    webhook = await world.webhook(f"https://{host}:{receiver.port}/hook")
    names = Names({PUBLIC: [["127.0.0.1"]]})
    async with world.sender(rules=rules, names=names) as sender, running(sender):
        await world.outbox.add([an_event()])
        delivery = await world.tried(webhook)
    if rules != LOOPBACK:
        assert (receiver.connections, receiver.seen) == (0, [])
        assert (delivery.state, delivery.reason) == (DeliveryState.WAITING, ADDRESS_REFUSED)
    else:
        assert delivery.state is DeliveryState.DELIVERED


async def test_a_receiver_with_a_wrong_certificate_gets_nothing(world: World, authority: UpstreamAuthority) -> None:
    """Nobody but the receiver reads an event."""
    tls = authority.issue("localhost", trusted=False).server_context()
    with StubUpstream(tls=tls, answers={"/hook": ACCEPTED}) as impostor:
        webhook = await world.webhook(f"{impostor.url}/hook")
        async with world.sender() as sender, running(sender):
            await world.outbox.add([an_event()])
            delivery = await world.tried(webhook)
        assert impostor.seen == []
    assert "TLS failed: self-signed certificate" in str(delivery.reason)


async def test_plain_http_stays_in_excepted_networks(world: World) -> None:
    """A receiver without TLS is sent to in a network that the operator has excepted, and nowhere else."""
    with StubUpstream(answers={"/hook": ACCEPTED}) as plain:
        webhook = await world.webhook(f"{plain.url}/hook")
        public = await world.webhook(f"http://{PUBLIC}:{plain.port}/hook")
        names = Names({PUBLIC: [["93.184.215.14"]]})
        async with world.sender(names=names) as sender, running(sender):
            await world.outbox.add([an_event()])
            assert (await world.tried(webhook)).state is DeliveryState.DELIVERED
            assert (await world.tried(public)).reason == ADDRESS_REFUSED


# --- one sender -----------------------------------------------------------------------------------------------------


async def test_two_senders_deliver_each_event_once(world: World, receiver: StubUpstream) -> None:
    """Only the one with the lease sends; when it stops, the other goes on."""
    await world.webhook(f"{receiver.url}/hook")
    events = [an_event(f"event {number}") for number in range(20)]
    async with world.sender("first") as first, world.sender("second") as second, running(second):
        async with running(first):
            await world.outbox.add(events[:10])
            await received(receiver, 10)
        await world.outbox.add(events[10:])
        await received(receiver, 20)
    assert sorted(ids(receiver)) == sorted(event.id for event in events)


async def test_a_restart_of_redis_loses_nothing(authority: UpstreamAuthority, receiver: StubUpstream) -> None:
    """What was added and what was tried is there again, and is delivered."""
    async with redis_server() as redis:
        connection = patient(redis)
        world = World(connection, authority)
        webhook = await world.webhook(f"{receiver.url}/hook")
        receiver.answers["/hook"] = Answer(500)
        async with world.sender() as sender, running(sender):
            await world.outbox.add([an_event("tried")])
            await world.tried(webhook)
            await redis.stop()
            await redis.start()
            await eventually(lambda: _added(world, an_event("waits")), "Redis answers")
            receiver.answers["/hook"] = ACCEPTED
            world.now += timedelta(minutes=2)
            await becomes(lambda: {an_event("tried").id, an_event("waits").id} <= set(ids(receiver)), "both events")
        await connection.close()


async def _added(world: World, event: WebhookEvent) -> bool:
    with suppress(StoreUnavailable):
        return await world.outbox.add([event]) == 1
    return False


async def _sent_without_the_lease(world: World, receiver: StubUpstream, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how much a sender sends after another has taken the lease while its first request was under way.

    It extends its own so rarely that only the fencing tells it.
    """
    refused, begin = [], RedisWebhookDeliveries.begin

    async def counted(*arguments: Any) -> StoredDelivery | None:
        begun = await begin(*arguments)
        if begun is None:
            refused.append(1)
        return begun

    monkeypatch.setattr(RedisWebhookDeliveries, "begin", counted)
    webhook = await world.webhook(f"{receiver.url}/hook")
    receiver.answers["/hook"] = Answer(204, delay=600)
    async with world.sender("paused", deadline=600) as sender:
        sender.lease = 10_000.0
        async with running(sender):
            await world.outbox.add([an_event(str(number)) for number in range(5)])
            await received(receiver, 1)
            await world.connection.redis.set(webhook_keys.WEBHOOK_LEASE, "other")
            receiver.answers["/hook"] = ACCEPTED
            receiver.hang_up()
            await eventually(lambda: _has_failed(world, webhook.id), "the request in flight ends, and counts")
            world.now += timedelta(seconds=5)
            await becomes(lambda: len(receiver.seen) > 1 or len(refused) > 2, "the sender goes on, or may not")
    return len(receiver.seen) - 1


async def _has_failed(world: World, webhook_id: str) -> bool:
    return any(one.reason for one in await world.deliveries.newest(webhook_id))


async def test_a_sender_that_lost_its_lease_sends_no_more(
    world: World, receiver: StubUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request in flight ends, and its result counts; what waits is left to the other sender."""
    assert await _sent_without_the_lease(world, receiver, monkeypatch) == 0


async def test_without_fencing_it_would(world: World, receiver: StubUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above notices a sender that does not look at the lease."""
    check = "if redis.call('GET', KEYS[1]) ~= holder then return 0 end"
    assert check in webhook_deliveries._BEGIN
    monkeypatch.setattr(webhook_deliveries, "_BEGIN", webhook_deliveries._BEGIN.replace(check, ""))
    assert await _sent_without_the_lease(world, receiver, monkeypatch) > 0


async def test_a_sender_that_was_stopped_before_its_request(world: World, receiver: StubUpstream) -> None:
    """It sends nothing when too much time has passed since Redis let it begin; the next attempt is later."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    world.skips = attempting.FRESH + 1
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event()])
        await eventually(lambda: _begun(world, webhook.id), "an attempt begins")
        assert receiver.seen == []
        world.skips = 0
        world.now += attempting.TAKEN_BACK + timedelta(seconds=1)
        await received(receiver, 1)


async def _begun(world: World, webhook_id: str) -> bool:
    return any(one.attempts for one in await world.deliveries.newest(webhook_id))


# --- bounds ---------------------------------------------------------------------------------------------------------


async def test_a_slow_receiver_slows_no_other_team(world: World, receiver: StubUpstream) -> None:
    """However many of a team's webhooks hang, the events of another team arrive."""
    receiver.answers["/slow"] = Answer(204, delay=600)
    for _ in range(AT_ONCE_OF_A_TEAM + 2):
        await world.webhook(f"{receiver.url}/slow", team="globex-team")
    await world.webhook(f"{receiver.url}/hook")
    async with world.sender(deadline=600) as sender, running(sender):
        await world.outbox.add([an_event(team="globex-team")])
        await received(receiver, AT_ONCE_OF_A_TEAM)
        for number in range(3):
            await world.outbox.add([an_event(str(number))])
            await becomes(lambda: len(receiver.asked("/hook")) > number, "the other team's event")  # noqa: B023
        assert len(receiver.asked("/slow")) == AT_ONCE_OF_A_TEAM


async def test_queues_are_bounded(world: World, receiver: StubUpstream) -> None:
    """What is too much is dropped, counted for metrics and webhook, and said in the log."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    receiver.answers["/hook"] = Answer(503)
    for start in range(0, MAX_EVENTS_OF_TEAM + 20, 20):
        await world.outbox.add([an_event(f"{start + number}") for number in range(20)])
    assert await world.outbox.count(["acme-team"]) == MAX_EVENTS_OF_TEAM
    async with world.sender() as sender, running(sender):
        await eventually(lambda: _shared_out(world), "everything is shared out")
        dropped = 20 + MAX_EVENTS_OF_TEAM - MAX_WAITING
        await becomes(lambda: sum(world.dropped) >= dropped, "the drops are counted")
    assert sum(world.dropped) == dropped
    (counts,) = await world.deliveries.counts([webhook.id])
    assert (counts.waiting, counts.dropped) == (MAX_WAITING, dropped)
    assert "webhooks.dropped" in world.log.getvalue()


async def test_finished_deliveries_are_bounded(world: World, receiver: StubUpstream) -> None:
    """The newest hundred are listed, without their bodies; the counts have all."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    async with world.sender() as sender, running(sender):
        for start in range(0, 120, 20):
            await world.outbox.add([an_event(f"{start + number}") for number in range(20)])
        await received(receiver, 120)
        await eventually(lambda: _no_bodies(world, webhook.id), "the last result is stored")
    assert len(await world.listed(webhook)) == 100
    (counts,) = await world.deliveries.counts([webhook.id])
    assert (counts.delivered, counts.waiting) == (120, 0)


async def _no_bodies(world: World, webhook_id: str) -> bool:
    return not await world.connection.redis.exists(webhook_keys.webhook_bodies(webhook_id))


async def test_without_room_nothing_is_taken(world: World, receiver: StubUpstream) -> None:
    """At the mark of a full Redis, events are not added, and whoever offers them offers them again."""
    await world.webhook(f"{receiver.url}/hook")
    world.has_room = False
    assert await world.outbox.add([an_event()]) == 0
    assert not await world.connection.redis.keys("authsvc:webhook-event*")
    world.has_room = True
    assert await world.outbox.add([an_event()]) == 1


async def test_a_removed_webhook_leaves_nothing(world: World, receiver: StubUpstream) -> None:
    """What waited for it is forgotten, and others get theirs."""
    receiver.answers["/gone"] = Answer(500)
    removed, other = await world.webhook(f"{receiver.url}/gone"), await world.webhook(f"{receiver.url}/hook")
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event()])
        await world.tried(removed)
        await world.tried(other)
        found = await world.webhooks.get(removed.id)
        assert found is not None
        await world.webhooks.remove(found, world.entry())
        world.now += timedelta(minutes=1)
        await eventually(lambda: _nothing_of(world, removed.id), "nothing is left of it")
    assert (await world.listed(other))[0].state is DeliveryState.DELIVERED


async def _nothing_of(world: World, webhook_id: str) -> bool:
    return not await world.connection.redis.keys(f"*{webhook_id}*")


async def test_a_team_without_webhooks_has_no_queue(world: World) -> None:
    """Nothing waits that nobody wants, and nothing is remembered of it."""
    assert await world.outbox.add([an_event()]) == 0
    assert await world.connection.redis.keys("authsvc:webhook*") == []


async def test_damaged_events_hold_up_nothing(world: World, receiver: StubUpstream) -> None:
    """What a later version wrote is dropped and logged."""
    webhook = await world.webhook(f"{receiver.url}/hook")
    queue = webhook_keys.webhook_events("acme-team")
    await world.connection.redis.rpush(queue, "{", '{"id": 1}', '{"note": "later.kind", "team": "acme-team"}')
    async with world.sender() as sender, running(sender):
        await world.outbox.add([an_event()])
        await world.tried(webhook)
    assert world.log.getvalue().count("webhooks.unreadable") == 3
