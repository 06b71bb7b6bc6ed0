"""The names of the keys of the outbox of webhooks and of their deliveries."""

from authsvc.store.keys import PREFIX

WEBHOOK_TEAMS = f"{PREFIX}webhook-teams"
"""Set of the teams with events that wait to be shared out among their webhooks."""

WEBHOOK_LEASE = f"{PREFIX}webhook-lease"
"""Which worker sends events to webhooks, for some seconds."""

WEBHOOKS_DUE = f"{PREFIX}webhooks-due"
"""Sorted set of the webhooks with deliveries that wait, each as team and id, by the Unix time of the first in
milliseconds."""

WEBHOOK_DROPS = f"{PREFIX}webhook-drops"
"""Hash: by team, how many events were dropped since the sender last looked."""

WEBHOOK_EVENTS = f"{PREFIX}webhook-events:"
"""With a team's slug behind it: list of the team's events that wait, oldest first."""

TEAM_WEBHOOKS = f"{PREFIX}team-webhooks:"
"""With a team's slug behind it: :func:`authsvc.store.keys.team_webhooks`."""


def webhook_events(slug: str) -> str:
    """List of the events of a team that wait to be shared out among its webhooks, oldest first."""
    return f"{WEBHOOK_EVENTS}{slug}"


def webhook_event_seen(event_id: str) -> str:
    """Mark that an event was taken."""
    return f"{PREFIX}webhook-event-seen:{event_id}"


def webhook_deliveries(webhook_id: str) -> str:
    """Hash of what is listed of a webhook's deliveries, by the id of the event."""
    return f"{PREFIX}webhook-deliveries:{webhook_id}"


def webhook_bodies(webhook_id: str) -> str:
    """Hash of the bodies of the deliveries that wait, by the id of the event."""
    return f"{PREFIX}webhook-bodies:{webhook_id}"


def webhook_pending(webhook_id: str) -> str:
    """Sorted set of the events that wait for their delivery to a webhook, by the time of the next attempt."""
    return f"{PREFIX}webhook-pending:{webhook_id}"


def webhook_finished(webhook_id: str) -> str:
    """Sorted set of the events whose delivery to a webhook has ended, by the time of its end."""
    return f"{PREFIX}webhook-finished:{webhook_id}"


def webhook_counts(webhook_id: str) -> str:
    """Hash: what the deliveries to a webhook add up to."""
    return f"{PREFIX}webhook-counts:{webhook_id}"
