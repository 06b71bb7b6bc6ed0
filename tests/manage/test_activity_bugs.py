"""What the tests of activity are worth: each of these wrong lines fails one of them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import evolve, frozen

from authsvc.manage import activity, activity_tokens
from authsvc.manage.actor import Actor
from authsvc.store import activity_sink
from authsvc.store.activity_script import RECORD
from authsvc.tenancy.subjects import split_subject
from tests.manage import test_activity
from tests.manage.test_activity import OWNER, Desk, desk
from tests.store import test_activity_sink

__all__ = ["desk"]

Patch = pytest.MonkeyPatch


@frozen
class SeededBug:
    """One wrong line.

    Attributes:
        seed: puts it in.
        check: the test that notices.
    """

    seed: Callable[[Patch], None]
    check: Callable[[Desk], Awaitable[None]]


def _forget(field: str) -> Callable[[Patch], None]:
    """Let a list of activity ignore what the actor is limited to."""

    def without(record: Any, **changes: Any) -> Any:
        return evolve(record, **{name: value for name, value in changes.items() if name != field})

    return lambda patch: patch.setattr(activity, "evolve", without)


def _script(line: str, instead: str) -> Callable[[Patch], None]:
    """Change the script that records events."""
    assert line in RECORD
    return lambda patch: patch.setattr(activity_sink, "RECORD", RECORD.replace(line, instead))


def _see_everything(patch: Patch) -> None:
    patch.setattr(Actor, "sees", lambda *_: True)


def _count_tokens_for_all(patch: Patch) -> None:
    patch.setattr(activity_tokens, "_subjects", lambda facts, _app: split_subject(str(facts["actor"])))


async def _once(desk: Desk) -> None:
    await test_activity_sink.test_an_event_counts_once(desk.store)


async def _hidden(desk: Desk) -> None:
    for name in test_activity.CALLS:
        await test_activity.test_what_an_actor_does_not_see_does_not_exist(desk, name, test_activity.STRANGER)


BUGS = {
    "a list shows every team's rows": SeededBug(_forget("team"), test_activity.test_nothing_of_another_team_appears),
    "a list shows every app of the team": SeededBug(
        _forget("apps"), test_activity.test_nothing_of_another_team_appears
    ),
    "what belongs to another team is found": SeededBug(_see_everything, _hidden),
    "a token counts for licenses of other apps": SeededBug(
        _count_tokens_for_all, test_activity.test_nothing_of_another_team_appears
    ),
    "an event counts as often as it comes": SeededBug(_script("if not is_new(event) then return 0 end", ""), _once),
    "an event is recognised in the first set only": SeededBug(
        _script("for each = 0, level do", "for each = 0, 0 do"),
        lambda desk: test_activity_sink.test_every_event_of_a_busy_hour_is_recognised(desk.store),
    ),
    "two licenses are two pulls of the app": SeededBug(
        _script(
            "    count_for(event, subject, names, image, part)\n",
            "    count_for(event, subject, names, image, part)\n"
            "    if subject ~= event.accounts[1] then count_all(event.app, 0, event.letter, image, event, 9) end\n",
        ),
        test_activity.test_an_apps_days_are_everyones_together,
    ),
}


@pytest.mark.parametrize("sentence", BUGS)
async def test_a_seeded_bug_is_caught(desk: Desk, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the wrong line the test fails; without it the same steps pass, as the test itself shows."""
    bug = BUGS[sentence]
    bug.seed(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await bug.check(desk)


async def test_the_steps_pass_without_a_bug(desk: Desk) -> None:
    """What :func:`_hidden` does is the test of each call, one after the other."""
    await _hidden(desk)
    assert await desk.rows(OWNER)
