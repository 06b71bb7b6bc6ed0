"""When a tag is looked up again, and when its last meaning stands in."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import UpstreamFailed, UpstreamLimited, UpstreamNotFound, UpstreamRefused, UpstreamUnavailable
from authsvc.upstreams.tag_policy import RememberedTag, ResolvedTag, TagPolicy
from tests.support.builders import NOW

POLICY = TagPolicy(timedelta(seconds=60), timedelta(days=7))
DIGEST = "sha256:" + "a" * 64
FAILURES = (
    UpstreamUnavailable("x"),
    UpstreamLimited("x", 5),
    UpstreamRefused("x", credential=True),
    UpstreamRefused("x", credential=False),
)


@given(st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_fresh_for_a_minute(age: timedelta) -> None:
    """An answer counts for the interval; one from the future, after the clock went back, does not."""
    assert POLICY.is_fresh(RememberedTag(DIGEST, NOW - age), NOW) == (timedelta(0) <= age < timedelta(seconds=60))


@given(st.timedeltas(timedelta(0), timedelta(days=30)), st.sampled_from(FAILURES))
def test_stands_in_for_a_week(age: timedelta, error: UpstreamFailed) -> None:
    """While the registry fails, the last image stands in, marked as stale."""
    found = POLICY.stands_in(RememberedTag(DIGEST, NOW - age), error, NOW)

    assert found == (ResolvedTag(DIGEST, error) if age < timedelta(days=7) else None)


@pytest.mark.parametrize("error", [*FAILURES, UpstreamNotFound("x")], ids=lambda error: type(error).__name__)
def test_an_unknown_tag_is_never_made_up(error: UpstreamFailed) -> None:
    """Nothing stands in for a tag that was never seen, and the error is passed on: a limit is not a 404."""
    assert POLICY.stands_in(None, error, NOW) is None


def test_a_tag_that_is_gone() -> None:
    """A registry that says that it does not have the tag is believed."""
    assert POLICY.stands_in(RememberedTag(DIGEST, NOW), UpstreamNotFound("x"), NOW) is None


def test_without_a_week() -> None:
    """A limit of nothing means that nothing stands in."""
    assert TagPolicy(POLICY.interval, timedelta(0)).stands_in(RememberedTag(DIGEST, NOW), FAILURES[0], NOW) is None
