"""How long the audit reaches back: the default budget holds two weeks of ten thousand licenses."""

from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.audit.aggregator import Aggregator
from authsvc.audit.token_event import token_event_of
from authsvc.settings import SETTINGS
from authsvc.store.audit_size import ENTRY_OVERHEAD, OVERHEAD_SHARE
from authsvc.store.audit_stream import UNPROVEN_SHARE
from tests.support.builders import NOW, as_license, make_license
from tests.support.decisions import asked, issued, request_id

MIB = 1024 * 1024
LICENSES, WORKERS, DAYS = 10_000, 2, 14
PULL_EVERY = 300
DOCKER = "docker/27.5.1 go/go1.22.11 git-commit/4c9b3b0 kernel/6.1.0-28-amd64 os/linux arch/amd64 " + "x" * 40
"""As long as docker's own: cut to what is kept."""


def bytes_of(licenses: int, days: int, every: int = PULL_EVERY) -> int:
    """Return what one worker writes for so many licenses that each pull one image every so many seconds."""
    aggregator, found = Aggregator(), 0
    request = asked("repository:acme/api/worker:pull", user_agent=DOCKER)
    decisions = [
        token_event_of(request, issued(request, as_license(make_license(f"c{number:015d}", repositories=("api/*",)))))
        for number in range(licenses)
    ]
    for second in range(0, days * 86_400, every):
        at = NOW + timedelta(seconds=second)
        for decision in decisions:
            aggregator.add(evolve(decision, request_id=request_id(at), at=at))
        for told in aggregator.take(at.timestamp()):
            length = len(told.text) + len(told.ids)
            found += length + length // OVERHEAD_SHARE + ENTRY_OVERHEAD
    return found


def budget() -> int:
    """Return the default budget in bytes, without what is for the unproven."""
    (setting,) = [setting for setting in SETTINGS if setting.name == "audit_budget"]
    whole = int(setting.default or 0) * MIB
    return whole - whole // UNPROVEN_SHARE


@pytest.mark.parametrize("every", [PULL_EVERY, 5400])
def test_the_default_budget_holds_two_weeks(every: int) -> None:
    """Ten thousand licenses that pull every five minutes, or now and then, with two workers, from a fresh start on.

    A worker that serves some licenses writes for each what one that serves thousands does, so a few are measured.
    """
    few = 2
    measured = bytes_of(few, DAYS, every)

    assert measured * LICENSES // few * WORKERS < 0.95 * budget()


def test_what_is_written_grows_with_the_licenses_alone() -> None:
    """Twice the licenses take twice the bytes, and twice the pulls take no more."""
    one, two = bytes_of(20, 1), bytes_of(40, 1)

    assert two == pytest.approx(2 * one, rel=0.01)
    assert bytes_of(20, 1, PULL_EVERY // 2) == pytest.approx(one, rel=0.05)
