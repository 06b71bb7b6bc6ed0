"""When a webhook is given up."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import Conflict
from authsvc.processes.waiting import ended
from authsvc.redaction import Secret
from authsvc.store.webhook_deliveries import delivery_keys
from authsvc.webhooks.schedule import GIVE_UP_AFTER
from authsvc.webhooks.signature import signed_headers
from authsvc.webhooks.webhook import SealedSigningSecret, Webhook
from tests.support.builders import NOW
from tests.support.upstream_stub import Answer, Seen, StubUpstream
from tests.webhook_sender.world import SECRET, World, an_event, eventually, received


async def test_a_webhook_that_was_enabled_again_has_all_its_time_again(world: World, receiver: StubUpstream) -> None:
    """Its failures of before are known, and the next one does not disable it at once."""
    receiver.answers["/hook"] = Answer(500)
    webhook = await world.webhook(f"{receiver.url}/hook")

    async def fails(name: str) -> Webhook:
        # Without its retries, so that each event is tried when the test says so.
        await world.connection.redis.delete(*delivery_keys(webhook.id)[:4])
        await world.outbox.add([an_event(name)])
        await world.tried(webhook)
        found = await world.webhooks.get(webhook.id)
        assert found is not None
        return found.record

    async with world.sender() as sender:
        task = asyncio.create_task(sender.run())
        await fails("one")
        world.now += GIVE_UP_AFTER + timedelta(hours=1)
        await fails("two")

        async def disabled() -> bool:
            found = await world.webhooks.get(webhook.id)
            return found is not None and found.record.disabled_at is not None

        await eventually(disabled, "the webhook is disabled")
        stored = await world.webhooks.get(webhook.id)
        assert stored is not None
        enabled = evolve(stored.record, disabled_at=None, disabled_reason=None, changed_at=world.now)
        await world.webhooks.replace(stored, enabled, world.entry())

        world.now += GIVE_UP_AFTER - timedelta(hours=1)
        await fails("three")
        world.now += timedelta(hours=2)
        await fails("four")
        await eventually(disabled, "the webhook is disabled again")
        await ended(task)
    assert len(receiver.seen) == 4


ROTATED: dict[str, Any] = {"secret_version": 2, "old_sealed_secret": "old", "old_secret_version": 1}


def signatures(request: Seen) -> list[str]:
    """Return the signatures that a request has."""
    return request.headers["webhook-signature"].split(" ")


def with_the_old_one(request: Seen) -> str:
    """Return the signature that the first secret makes, computed for what was sent."""
    said = request.headers
    return signed_headers([SECRET], said["webhook-id"], int(said["webhook-timestamp"]), request.body)[
        "webhook-signature"
    ]


async def test_both_secrets_sign_while_both_count(world: World, receiver: StubUpstream) -> None:
    """The new one first; when the time of the old one is over, the new one alone."""
    until = NOW + timedelta(hours=1)
    await world.webhook(f"{receiver.url}/hook", old_secret_until=until, **ROTATED)
    async with world.sender() as sender:
        task = asyncio.create_task(sender.run())
        await world.outbox.add([an_event("one")])
        (first,) = await received(receiver, 1)
        world.now = until
        await world.outbox.add([an_event("two")])
        (_, second) = await received(receiver, 2)
        await ended(task)
    assert len(signatures(first)) == 2
    assert signatures(first)[1] == with_the_old_one(first)
    assert len(signatures(second)) == 1
    assert with_the_old_one(second) not in signatures(second)


async def test_an_old_secret_that_cannot_be_opened_holds_up_nothing(
    world: World, receiver: StubUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one signs."""

    async def unseal(_world: World, one: SealedSigningSecret) -> Secret:
        if one.sealed == "old":
            raise Conflict("the key is gone", code="sealed_secret_invalid")
        return SECRET

    monkeypatch.setattr(World, "unseal", unseal)
    await world.webhook(f"{receiver.url}/hook", old_secret_until=NOW + timedelta(hours=1), **ROTATED)
    async with world.sender() as sender:
        task = asyncio.create_task(sender.run())
        await world.outbox.add([an_event("one")])
        (only,) = await received(receiver, 1)
        await ended(task)
    assert signatures(only) == [with_the_old_one(only)]
