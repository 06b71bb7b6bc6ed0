"""``authsvc webhook``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, overlap_option, print_json, print_table, remark, run, say
from authsvc.cli.pagination import Column, Facts, Table, page_of, paging_options, print_list
from authsvc.tenancy.dates import parse_span, render_instant, render_optional
from authsvc.webhooks.event import SELECTABLE

if TYPE_CHECKING:
    from authsvc.redaction import Secret
    from authsvc.tenancy.pages import Page
    from authsvc.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryCounts
    from authsvc.webhooks.webhook import Webhook
    from authsvc.wiring.management import Management

_NEWEST = 20
"""Deliveries that `show` prints; `--json` has all that are stored."""


@click.group("webhook")
def webhook_group() -> None:
    """Send events to your own systems."""


@webhook_group.command("add")
@click.argument("url")
@click.option("--team", metavar="TEAM", help="The team whose events are sent.")
@click.option("--app", metavar="SLUG", help="Only events of this app.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help=f"What to send; repeatable: {', '.join(SELECTABLE)}.  [default: all]",
)
@common_options
def add(
    url: str, team: str | None, app: str | None, types: tuple[str, ...], data_dir: Path | None, *, as_json: bool
) -> None:
    """Send events to URL, and print the signing secret once."""
    from authsvc.webhooks.terms import WebhookTerms

    if team is None and app is None:
        raise click.UsageError("say whose events are sent: --team TEAM or --app SLUG")

    async def use(manage: "Management") -> "tuple[Webhook, Secret]":
        terms = WebhookTerms.parse(url, types or None)
        return await manage.webhooks.add(terms, manage.operation(), team=team, app=app)

    webhook, secret = run(data_dir, use)
    if as_json:
        print_json({**_webhook_facts(webhook), "secret": secret.reveal()})
        return
    say(f"webhook {webhook.id} sends events of {webhook.app or webhook.team} to {webhook.url}")
    say(secret.reveal())
    remark("shown once: the receiver checks signatures with it")
    remark(f"send a test event: authsvc webhook test {webhook.id}")


@webhook_group.command("list")
@click.option("--team", metavar="TEAM", help="Only those of this team.")
@paging_options
@common_options
def list_(team: str | None, limit: int | None, after: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List webhooks with their delivered, waiting and failed events."""

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.webhooks.list(manage.actor, team=team, after=cursor, limit=size)
        return page_of(page, lambda one: _facts(*one))

    print_list(data_dir, fetch, _TABLE, limit=limit, after=after, as_json=as_json)


@webhook_group.command("show")
@click.argument("webhook")
@common_options
def show(webhook: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show a webhook and its newest events."""

    async def use(manage: "Management") -> "tuple[Facts, list[Facts]]":
        found = await manage.webhooks.show(manage.actor, webhook)
        return _facts(*found), [_delivery(one) for one in await manage.webhooks.deliveries(manage.actor, webhook)]

    facts, deliveries = run(data_dir, use)
    if as_json:
        print_json({**facts, "deliveries": deliveries})
        return
    print_table(("FIELD", "VALUE"), [(field, _text(field, value)) for field, value in facts.items()], "")
    say("")
    rows = [_delivery_row(one) for one in deliveries[:_NEWEST]]
    print_table(("EVENT AT", "TYPE", "STATE", "ATTEMPTS", "NEXT", "LAST"), rows, "no event for it yet")


@webhook_group.command("test")
@click.argument("webhook")
@common_options
def test(webhook: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Send a test event once, now, and print the result."""
    attempt: DeliveryAttempt = run(data_dir, lambda manage: manage.webhooks.test(webhook, manage.operation()))
    facts = {
        "ok": attempt.ok,
        "status": attempt.status,
        "reason": attempt.reason,
        "milliseconds": attempt.milliseconds,
    }
    if as_json:
        print_json(facts)
    elif attempt.ok:
        say(f"ok: the receiver answered {attempt.status} in {attempt.milliseconds} ms")
    else:
        say(f"FAILED: {attempt.reason}")
    if not attempt.ok:
        sys.exit(1)


@webhook_group.command("set")
@click.argument("webhook")
@click.option("--url", metavar="URL", help="New address of the receiver; waiting events are sent there too.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Types to send instead; repeatable.")
@click.option("--all-types", is_flag=True, help="Send all types, including those of later versions.")
@common_options
def set_(
    webhook: str, url: str | None, types: tuple[str, ...], data_dir: Path | None, *, all_types: bool, as_json: bool
) -> None:
    """Send events to another address, or other types of events; the secret stays."""
    from authsvc.webhooks.terms import WebhookChange

    if all_types and types:
        raise click.UsageError("--all-types goes without --type")
    if url is None and not types and not all_types:
        raise click.UsageError("say what to change: --url, --type or --all-types")

    async def use(manage: "Management") -> "Webhook":
        change = WebhookChange.parse(url, types or None, all_types=all_types)
        return await manage.webhooks.set(webhook, change, manage.operation())

    _print(run(data_dir, use), "changed", as_json=as_json)


@webhook_group.command("rotate")
@click.argument("webhook")
@overlap_option
@yes_option
@common_options
def rotate(webhook: str, overlap: str, data_dir: Path | None, *, yes: bool, as_json: bool) -> None:
    """Give a webhook a new signing secret and print it once; the old one also signs for a while."""

    async def use(manage: "Management", confirmed: str | None) -> "tuple[Webhook, Secret]":
        span = parse_span(overlap, "overlap")
        return await manage.webhooks.rotate(webhook, span, manage.operation(), confirmed)

    rotated, secret = run_confirmed(data_dir, use, yes=yes)
    if as_json:
        print_json({**_webhook_facts(rotated), "secret": secret.reveal()})
        return
    say(secret.reveal())
    until = rotated.old_secret_until
    also = "the old one ends now" if until is None else f"the old one signs as well until {render_instant(until)}"
    remark(f"shown once: the receiver checks signatures with it; {also}")


@webhook_group.command("disable")
@click.argument("webhook")
@common_options
def disable(webhook: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Send nothing more to a webhook; waiting events are not sent."""
    disabled = run(data_dir, lambda manage: manage.webhooks.disable(webhook, manage.operation()))
    _print(disabled, "disabled", as_json=as_json)


@webhook_group.command("enable")
@click.argument("webhook")
@common_options
def enable(webhook: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Send events again to a webhook that was disabled, by hand or because its receiver failed for days."""
    enabled = run(data_dir, lambda manage: manage.webhooks.enable(webhook, manage.operation()))
    _print(enabled, "enabled", as_json=as_json)


@webhook_group.command("remove")
@click.argument("webhook")
@common_options
def remove(webhook: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Remove a webhook with its secret; waiting events are not sent."""
    run(data_dir, lambda manage: manage.webhooks.remove(webhook, manage.operation()))
    if as_json:
        print_json({"id": webhook, "removed": True})
    else:
        say(f"webhook {webhook} removed")


def _print(webhook: "Webhook", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_webhook_facts(webhook))
    else:
        say(f"webhook {webhook.id} is {what}")


def _webhook_facts(webhook: "Webhook") -> Facts:
    return {
        "id": webhook.id,
        "team": webhook.team,
        "app": webhook.app,
        "url": webhook.url,
        "types": None if webhook.types is None else [one.value for one in webhook.types],
        "created_at": render_instant(webhook.created_at),
        "changed_at": render_instant(webhook.changed_at),
        "disabled_at": render_optional(webhook.disabled_at),
        "disabled_reason": webhook.disabled_reason,
        "old_secret_until": render_optional(webhook.old_secret_until),
    }


def _facts(webhook: "Webhook", counts: "DeliveryCounts") -> Facts:
    return _webhook_facts(webhook) | {
        "waiting": counts.waiting,
        "delivered": counts.delivered,
        "failed": counts.failed,
        "dropped": counts.dropped,
        "failing_since": render_optional(counts.failing_since),
    }


def _delivery(delivery: "Delivery") -> Facts:
    return {
        "id": delivery.event,
        "type": delivery.type.value,
        "at": render_instant(delivery.at),
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "attempted_at": render_optional(delivery.attempted_at),
        "next_at": render_optional(delivery.next_at),
        "status": delivery.status,
        "reason": delivery.reason,
    }


def _delivery_row(facts: Facts) -> tuple[str, ...]:
    last = facts["reason"] or ("-" if facts["status"] is None else str(facts["status"]))
    return (facts["at"], facts["type"], facts["state"], str(facts["attempts"]), facts["next_at"] or "-", last)


def _state(facts: Facts) -> str:
    if facts["disabled_at"] is not None:
        return "disabled"
    return "failing" if facts["failing_since"] is not None else "ok"


def _row(facts: Facts) -> list[str]:
    numbers = (str(facts[name]) for name in ("delivered", "waiting", "failed"))
    return [facts["id"], facts["app"] or facts["team"], facts["url"], _state(facts), *numbers]


_TABLE = Table(
    (
        Column("WEBHOOK"),
        Column("OF", cut=True),
        Column("URL", cut=True),
        Column("STATE"),
        Column("DELIVERED"),
        Column("WAITING"),
        Column("FAILED"),
    ),
    _row,
    "there is no webhook",
)


def _text(field: str, value: object) -> str:
    if value is None:
        return "all" if field == "types" else "-"
    return " ".join(value) if isinstance(value, list) else str(value)
