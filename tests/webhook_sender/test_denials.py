"""Refused requests of known licenses become events: once a day for each license and reason, beside the requests."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from authsvc.audit.token_event import AuditedRequest
from authsvc.credentials.subject import LicensesSubject
from authsvc.decision import DenialReason
from authsvc.errors import StoreUnavailable
from authsvc.issuance import Denied, Issued
from authsvc.logs import make_logger
from authsvc.processes.waiting import ended
from authsvc.store import webhook_keys
from authsvc.webhook_sender import denials
from authsvc.webhook_sender.denials import MAX_WAITING, SEEN_FOR, DenialRecorder
from authsvc.webhooks.denial import denials_of
from authsvc.webhooks.event import WebhookEvent
from tests.support.builders import NOW, as_license, as_member, make_app, make_license, make_member
from tests.support.decisions import asked, denied, issued, refused
from tests.webhook_sender.world import World, eventually

HOOK = "https://hooks.example.com/hook"

DAY = timedelta(days=1)


def recorder(world: World) -> DenialRecorder:
    """Return what a worker has."""
    return DenialRecorder(world.outbox, make_logger("info", world.log), lambda: world.now)


def events(request: AuditedRequest, outcome: Issued | Exception) -> Sequence[WebhookEvent]:
    """Return what a request and its outcome make."""
    return list(denials_of(request, outcome))


async def waiting(world: World, team: str = "acme-team") -> list[dict[str, Any]]:
    """Return the events of a team that wait."""
    return [json.loads(raw) for raw in await world.outbox.waiting(team, 10_000)]


def test_a_refused_license() -> None:
    """The event says which one, why and what was asked for; and nothing of the client but its network."""
    request = asked("repository:acme/x:pull", address="203.0.113.7")
    (event,) = events(request, denied())
    assert (event.team, event.app, event.at) == ("acme-team", "acme", NOW)
    assert event.data["reason"] == "license_expired"
    assert event.data["message"] == "license c of Globex expired; contact sales@acme.test"
    assert event.data["asked"] == ["repository:acme/x:pull"]
    assert event.data["network"] == "203.0.113.0/24"
    assert b"203.0.113.7" not in event.body()
    assert b"docker" not in event.body()


def test_one_event_for_license_reason_and_day() -> None:
    """Their ids are equal within a day and differ otherwise."""
    other_reason = Denied("no", as_license(make_license()), DenialReason.LICENSE_REVOKED)
    other_license = denied(as_license(make_license("c000000000000002")))
    requests = (
        (asked(), denied()),
        (asked(at=NOW + timedelta(hours=11)), denied()),
        (asked(at=NOW + DAY), denied()),
        (asked(), other_reason),
        (asked(), other_license),
    )
    ids = [events(*each)[0].id for each in requests]
    assert ids[0] == ids[1]
    assert len(set(ids)) == len(ids) - 1


def test_a_license_that_does_not_cover_what_was_asked_for() -> None:
    """It is told when nothing at all was granted; a token with a part of it is none."""
    subject = as_license(make_license(repositories=("worker",)))
    request, partly = (
        asked("repository:acme/api:pull"),
        asked("repository:acme/api:pull", "repository:acme/worker:pull"),
    )
    (event,) = events(request, issued(request, subject))
    assert event.data["reason"] == "not_covered_by_license"
    assert events(partly, issued(partly, subject)) == []
    elsewhere = asked("repository:globex/api:pull")
    assert events(elsewhere, issued(elsewhere, subject)) == []


def test_licenses_of_two_vendors() -> None:
    """Neither vendor learns what was asked of the other in the same request."""
    mine = make_license("c000000000000001")
    theirs = make_license("c000000000000003", app="globex", team="globex-team")
    apps = {"acme": make_app(), "globex": make_app("globex", team="globex-team")}
    subject = LicensesSubject((mine, theirs), apps)
    request = asked("repository:acme/x:pull", "repository:globex/y:pull")
    found = {one.team: one for one in events(request, Denied("both ended", subject, DenialReason.LICENSE_EXPIRED))}
    assert found["acme-team"].data["asked"] == ["repository:acme/x:pull"]
    assert found["globex-team"].data["asked"] == ["repository:globex/y:pull"]
    assert b"globex" not in found["acme-team"].body()


def test_others_are_not_told() -> None:
    """Members, unproven callers, and licenses that get what they ask for."""
    request = asked()
    member = Denied("disabled", as_member(make_member()), DenialReason.MEMBER_DISABLED)
    for outcome in (member, refused(), StoreUnavailable("away"), issued(request)):
        assert events(request, outcome) == []


async def test_repeats_are_one_event(world: World) -> None:
    """At one worker, at two, and after a restart: Redis remembers the day's."""
    await world.webhook(HOOK)
    for each in (recorder(world), recorder(world)):
        for _ in range(100):
            each.record(asked(), denied())
        await each.finish()
    assert len(await waiting(world)) == 1
    await world.connection.redis.delete(webhook_keys.webhook_events("acme-team"))
    third = recorder(world)
    third.record(asked(), denied())
    third.record(asked(at=NOW + DAY), denied())
    await third.finish()
    assert [one["at"] for one in await waiting(world)] == [(NOW + DAY).isoformat()]


async def test_a_webhook_that_comes_later(world: World) -> None:
    """What goes on being refused is told to it on the same day."""
    one = recorder(world)
    one.record(asked(), denied())
    await one.finish()
    await world.webhook(HOOK)
    one.record(asked(), denied())
    await one.finish()
    assert await waiting(world) == []
    one.record(asked(at=NOW + SEEN_FOR), denied())
    await one.finish()
    assert len(await waiting(world)) == 1


async def test_what_cannot_be_written_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room nothing is written and nothing fails; a bounded number waits, and the rest is lost and said."""
    monkeypatch.setattr(denials, "FLUSH_EVERY", 0.02)
    await world.webhook(HOOK)
    world.has_room, one = False, recorder(world)
    for number in range(MAX_WAITING + 5):
        one.record(asked(), denied(as_license(make_license(f"c{number:015d}"))))
    running = asyncio.create_task(one.run())
    try:
        await eventually(lambda: _said(world, '"count":5'), "the loss is logged")
        assert await waiting(world) == []
        world.has_room = True
        await eventually(lambda: _count(world, MAX_WAITING), "all that waited")
    finally:
        await ended(running)


async def _said(world: World, text: str) -> bool:
    return text in world.log.getvalue().replace(" ", "")


async def _count(world: World, count: int) -> bool:
    return len(await waiting(world)) == count


async def test_a_fault_fails_no_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is logged."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(denials, "denials_of", broken)
    recorder(world).record(asked(), denied())
    assert "webhooks.failed" in world.log.getvalue()
