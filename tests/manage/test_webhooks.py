"""Webhooks: added, tested, changed, rotated, enabled and removed, with secrets that are shown once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import (
    ConfirmationNeeded,
    Conflict,
    InputRefused,
    NotFound,
    OperationRepeated,
    PreconditionFailed,
)
from authsvc.keys.service_keys import LocalKeys, create_service_keys
from authsvc.manage.actor import Actor
from authsvc.manage.etag import etag
from authsvc.manage.webhooks import BY_HAND, Webhooks
from authsvc.redaction import Secret
from authsvc.webhooks.delivery import DeliveryAttempt, DeliveryCounts
from authsvc.webhooks.event import EventType
from authsvc.webhooks.signature import signing_key
from authsvc.webhooks.terms import WebhookChange, WebhookTerms
from authsvc.webhooks.webhook import Webhook, secret_context
from tests.support.builders import NOW
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation, confirmed

TERMS = WebhookTerms.parse("https://hooks.example.com/in/receiver-token", ["license.ending"])


@pytest.fixture
async def added(house: Installation) -> tuple[Webhook, Secret]:
    """Return a webhook of the app, as it was added."""
    return await house.webhooks.add(TERMS, house.operation(), app=APP)


async def disabled(house: Installation, webhook: Webhook) -> None:
    """Disable a webhook as the sender does."""
    stored = await house.stores.webhooks.get(webhook.id)
    assert stored is not None
    new = evolve(webhook, disabled_at=NOW, disabled_reason="gone")
    await house.stores.webhooks.replace(stored, new, Entry("op-gone", NOW, "test.done", "system:authsvc"))


async def test_a_webhook_has_what_was_given(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """Its secret is random, and opens for this webhook alone."""
    webhook, secret = added
    assert (webhook.team, webhook.app, webhook.url) == (TEAM, APP, "https://hooks.example.com/in/receiver-token")
    assert (webhook.types, webhook.created_by) == ((EventType.ENDING,), None)
    assert len(signing_key(secret)) == 32
    assert await house.keys.unseal(webhook.sealed_secret, secret_context(webhook)) == secret.reveal().encode()
    for other in (evolve(webhook, id="x"), evolve(webhook, team="other"), evolve(webhook, secret_version=2)):
        with pytest.raises(Conflict, match="damaged, or was sealed for something else"):
            await house.keys.unseal(webhook.sealed_secret, secret_context(other))
    _, second = await house.webhooks.add(TERMS, house.operation(), app=APP)
    assert second != secret


async def test_whose_events_are_sent(house: Installation) -> None:
    """Those of a team or of an app; of another team's app never, and the operator has to say which."""
    await house.teams.create("globex-team", None, house.operation())
    await house.teams.create_app("globex", "globex-team", None, house.operation())
    whole, _ = await house.webhooks.add(TERMS, house.operation(), team=TEAM)
    assert (whole.team, whole.app) == (TEAM, None)
    with pytest.raises(InputRefused, match="name a team or an app"):
        await house.webhooks.add(TERMS, house.operation())
    with pytest.raises(NotFound, match="there is no app 'globex'"):
        await house.webhooks.add(TERMS, house.operation(), team=TEAM, app="globex")
    await confirmed(house.teams.archive_app, OTHER_APP, house.operation())
    with pytest.raises(Conflict, match="is archived"):
        await house.webhooks.add(TERMS, house.operation(), app=OTHER_APP)


async def test_an_address_that_is_refused(house: Installation) -> None:
    """Nothing is stored."""
    house.receivers.refused = {"hooks.example.com"}
    with pytest.raises(InputRefused, match="not there"):
        await house.webhooks.add(TERMS, house.operation(), team=TEAM)
    assert (await house.webhooks.list(OPERATOR)).items == ()


async def test_a_repeat_shows_no_secret_again(house: Installation) -> None:
    """And adds no second webhook."""
    operation = house.operation()
    await house.webhooks.add(TERMS, operation, team=TEAM)
    with pytest.raises(OperationRepeated, match="shown only once"):
        await house.webhooks.add(TERMS, operation, team=TEAM)
    assert len((await house.webhooks.list(OPERATOR)).items) == 1


async def test_a_test_is_signed_with_the_secret_and_recorded_nowhere(
    house: Installation, added: tuple[Webhook, Secret]
) -> None:
    """Also of a webhook that chose other types, or is disabled; each test is another event."""
    webhook, secret = added
    await disabled(house, webhook)
    house.receivers.attempt = DeliveryAttempt(NOW, 404, "the receiver answered 404", 3)
    told = len(house.told)
    attempts = [await house.webhooks.test(webhook.id, house.operation()) for _ in range(2)]
    assert [attempt.reason for attempt in attempts] == ["the receiver answered 404"] * 2
    assert [shown for _, shown, _ in house.receivers.sent] == [(secret,), (secret,)]
    events = [event for _, _, event in house.receivers.sent]
    assert [event.type for event in events] == [EventType.TEST] * 2
    assert events[0].id != events[1].id
    assert events[0].data == {"team": TEAM, "app": APP, "webhook": webhook.id}
    assert len(house.told) == told


async def test_enabling(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """What was disabled is sent to again; what was not stays as it is, and the audit says nothing."""
    webhook, _ = added
    assert await house.webhooks.enable(webhook.id, house.operation()) == webhook
    assert house.told[-1].event == "webhook.added"
    await disabled(house, webhook)
    house.pass_time(hours=1)
    enabled = await house.webhooks.enable(webhook.id, house.operation())
    assert (enabled.disabled_at, enabled.disabled_reason) == (None, None)
    assert enabled.changed_at == webhook.changed_at + timedelta(hours=1)
    assert house.told[-1].facts["changed"] == {
        "disabled_at": [NOW.isoformat(), None],
        "disabled_reason": ["gone", None],
    }


async def test_removing(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """A repeat of the same request is answered like the first one; another one finds nothing."""
    webhook, _ = added
    operation = house.operation()
    await house.webhooks.remove(webhook.id, operation)
    await house.webhooks.remove(webhook.id, operation)
    with pytest.raises(NotFound) as refused:
        await house.webhooks.remove(webhook.id, house.operation())
    assert refused.value.code == "webhook_not_found"


async def test_a_change_of_something_else_is_refused(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """The client has read the webhook before it was disabled."""
    webhook, _ = added
    seen = etag(webhook)
    await disabled(house, webhook)
    for change in (house.webhooks.enable, house.webhooks.disable, house.webhooks.remove):
        with pytest.raises(PreconditionFailed):
            await change(webhook.id, evolve(house.operation(), if_match=(seen,)))


async def test_the_audit_has_no_secret(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """Neither the signing secret nor its sealed form, nor what stands behind the host."""
    webhook, secret = added
    await disabled(house, webhook)
    await house.webhooks.enable(webhook.id, house.operation())
    await house.webhooks.remove(webhook.id, house.operation())
    entries = [one for one in house.told if one.event.startswith("webhook.")]
    assert [one.event for one in entries] == ["webhook.added", "webhook.enabled", "webhook.removed"]
    facts: list[Any] = [one.facts for one in entries]
    assert (facts[0]["origin"], facts[0]["types"]) == ("https://hooks.example.com", ["license.ending"])
    assert {one.team for one in entries} == {TEAM}
    text = json.dumps([one.text() for one in entries])
    for hidden in (secret.reveal(), webhook.sealed_secret, "receiver-token"):
        assert hidden not in text


async def test_lists_show_the_team_alone(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """The operator sees all; what was never sent to counts nothing."""
    await house.teams.create("globex-team", None, house.operation())
    house.pass_time(seconds=1)
    other, _ = await house.webhooks.add(TERMS, house.operation(), team="globex-team")

    async def ids(actor: Actor, team: str | None = None) -> list[str]:
        return [found.id for found, _ in (await house.webhooks.list(actor, team=team)).items]

    assert await ids(OPERATOR) == [added[0].id, other.id]
    assert await ids(OPERATOR, TEAM) == [added[0].id]
    assert await house.webhooks.show(OPERATOR, other.id) == (other, DeliveryCounts())
    assert await house.webhooks.deliveries(OPERATOR, other.id) == []


async def test_webhooks_survive_another_sealing_key(house: Installation, tmp_path: Any) -> None:
    """After a rotation old secrets open, and new ones are sealed under the new key."""
    create_service_keys(tmp_path)
    keys = LocalKeys(tmp_path)
    webhooks = Webhooks(house.stores, keys, house.receivers)
    old, _ = await webhooks.add(TERMS, house.operation(), team=TEAM)
    name = await keys.rotate_sealing_key()
    new, _ = await webhooks.add(TERMS, house.operation(), team=TEAM)
    for webhook in (old, new):
        assert (await webhooks.test(webhook.id, house.operation())).ok
    assert [name in webhook.sealed_secret for webhook in (old, new)] == [False, True]


async def test_another_address(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """Address and types are changed together or alone; the secret stays, and the audit does not have the path."""
    webhook, _ = added
    house.pass_time(hours=1)
    change = WebhookChange.parse("https://b.example.com/of-b", None)
    moved = await house.webhooks.set(webhook.id, change, house.operation())
    assert (moved.url, moved.types, moved.sealed_secret) == (
        "https://b.example.com/of-b",
        webhook.types,
        webhook.sealed_secret,
    )
    assert moved.changed_at == house.now
    assert house.told[-1].facts["changed"] == {
        "origin": ["https://hooks.example.com", "https://b.example.com"],
        "path": ["set", "set"],
    }
    everything = await house.webhooks.set(moved.id, WebhookChange.parse(None, None, all_types=True), house.operation())
    assert (everything.url, everything.types) == (moved.url, None)
    some = WebhookChange.parse(None, ["image.pushed"])
    await house.webhooks.set(moved.id, some, house.operation())
    told = len(house.told)
    assert (await house.webhooks.set(moved.id, some, house.operation())).types == (EventType.PUSHED,)
    assert len(house.told) == told
    assert "of-b" not in json.dumps([one.text() for one in house.told])

    house.receivers.refused = {"inside.example.com"}
    with pytest.raises(InputRefused):
        await house.webhooks.set(moved.id, WebhookChange.parse("https://inside.example.com", None), house.operation())


async def test_two_secrets_for_a_while(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """Both sign until the overlap has passed, then the new one alone; at once without an overlap."""
    webhook, first = added

    async def signing() -> list[str]:
        await house.webhooks.test(webhook.id, house.operation())
        return [secret.reveal() for secret in house.receivers.sent[-1][1]]

    rotated, second = await house.webhooks.rotate(webhook.id, timedelta(hours=2), house.operation())
    assert (rotated.secret_version, rotated.old_secret_until) == (2, house.now + timedelta(hours=2))
    assert await signing() == [second.reveal(), first.reveal()]
    house.pass_time(hours=1, minutes=59)
    assert len(await signing()) == 2
    house.pass_time(minutes=1)
    assert await signing() == [second.reveal()]
    _, third = await house.webhooks.rotate(webhook.id, timedelta(0), house.operation())
    assert await signing() == [third.reveal()]
    text = json.dumps([one.text() for one in house.told])
    for secret in (first, second, third):
        assert secret.reveal() not in text
    assert rotated.sealed_secret not in text


async def test_a_promised_overlap_is_not_cut_unasked(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """A second rotation ends the first secret before its time: that is confirmed, or meant by no overlap at all."""
    webhook, _ = added
    await house.webhooks.rotate(webhook.id, timedelta(hours=2), house.operation())
    with pytest.raises(ConfirmationNeeded, match="ends now") as asked:
        await house.webhooks.rotate(webhook.id, timedelta(hours=1), house.operation())
    confirmed, _ = await house.webhooks.rotate(webhook.id, timedelta(hours=1), house.operation(), asked.value.mark)
    assert confirmed.secret_version == 3
    with pytest.raises(ConfirmationNeeded):
        await house.webhooks.rotate(webhook.id, timedelta(hours=1), house.operation(), asked.value.mark)
    assert (await house.webhooks.rotate(webhook.id, timedelta(0), house.operation()))[0].old_sealed_secret is None


async def test_disabling_by_hand(house: Installation, added: tuple[Webhook, Secret]) -> None:
    """It says so; disabling twice changes nothing."""
    webhook, _ = added
    off = await house.webhooks.disable(webhook.id, house.operation())
    assert (off.disabled_at, off.disabled_reason) == (house.now, BY_HAND)
    assert house.told[-1].event == "webhook.disabled"
    house.pass_time(hours=1)
    assert await house.webhooks.disable(webhook.id, house.operation()) == off
