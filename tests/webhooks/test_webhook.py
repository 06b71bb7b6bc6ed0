"""Webhooks: which events they receive, and what their secrets are bound to."""

from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve

from authsvc.upstreams.origin import Origin
from authsvc.webhooks.event import EventType, WebhookEvent
from authsvc.webhooks.webhook import Webhook, secret_context

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WEBHOOK = Webhook(
    id="w1",
    team="acme",
    app=None,
    origin=Origin("https", "hooks.example.com", 443),
    path="/in?from=authsvc",
    types=None,
    sealed_secret="sealed1.0.x",
    secret_version=1,
    created_at=NOW,
    created_by=None,
    changed_at=NOW,
)
PUSHED = WebhookEvent("evt_1", EventType.PUSHED, NOW, "acme", "shop", {})
OF_NO_APP = evolve(PUSHED, app=None)


@pytest.mark.parametrize(
    ("changes", "event", "wanted"),
    [
        ({}, PUSHED, True),
        ({}, OF_NO_APP, True),
        ({"app": "shop"}, PUSHED, True),
        ({"app": "other"}, PUSHED, False),
        ({"app": "shop"}, OF_NO_APP, False),
        ({"types": (EventType.PUSHED, EventType.ENDING)}, PUSHED, True),
        ({"types": (EventType.ENDING,)}, PUSHED, False),
        ({"types": ()}, PUSHED, False),
        ({"team": "globex"}, PUSHED, False),
        ({"disabled_at": NOW}, PUSHED, False),
    ],
)
def test_what_a_webhook_receives(changes: dict[str, Any], event: WebhookEvent, *, wanted: bool) -> None:
    """Events of its team, its app and its types, while it is not disabled."""
    assert evolve(WEBHOOK, **changes).wants(event) is wanted


def test_the_url() -> None:
    """Origin and path, in one piece."""
    assert WEBHOOK.url == "https://hooks.example.com/in?from=authsvc"


def test_the_secret_is_bound_to_team_webhook_and_version() -> None:
    """Another team, webhook or version gives another context, and so does another kind of secret."""
    webhooks = (WEBHOOK, evolve(WEBHOOK, team="x"), evolve(WEBHOOK, id="w2"), evolve(WEBHOOK, secret_version=2))
    assert len({secret_context(webhook) for webhook in webhooks}) == len(webhooks)
    assert {secret_context(webhook).kind for webhook in webhooks} == {"webhook_secret"}
