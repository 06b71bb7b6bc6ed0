"""When a webhook is given up."""

import asyncio
from datetime import timedelta

from attrs import evolve

from authsvc.processes.waiting import ended
from authsvc.store.webhook_deliveries import delivery_keys
from authsvc.webhooks.schedule import GIVE_UP_AFTER
from authsvc.webhooks.webhook import Webhook
from tests.support.upstream_stub import Answer, StubUpstream
from tests.webhook_sender.world import World, an_event, eventually


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
