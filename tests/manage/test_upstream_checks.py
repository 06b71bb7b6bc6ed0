"""Links are made only to addresses where an upstream may be, and tested with their own credential."""

from datetime import timedelta

import pytest

from authsvc.errors import Conflict, InputRefused
from authsvc.manage.upstreams import LinkChange
from authsvc.redaction import Secret
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.terms import LinkTerms
from tests.support.installation import APP, OPERATOR, Installation

KEY, OTHER_KEY = "first-robot-key", "second-robot-key"
TERMS = LinkTerms.parse("quay", None, "org+robot", Secret(KEY), ["org/**"])
DENIED = ProbeStep("token", ok=False, words="quay.io refuses the credential", remedy="set another secret")


async def test_an_address_is_checked_before_anything_is_stored(house: Installation) -> None:
    """A refused one leaves no link, no secret and no entry."""
    house.checks.refused = {"quay.io"}
    before = len(house.told)
    with pytest.raises(InputRefused) as refused:
        await house.upstreams.link(APP, "quay", TERMS, house.operation())

    assert (refused.value.code, refused.value.field) == ("upstream_address_refused", "url")
    assert (await house.upstreams.list(OPERATOR, app=APP)).items == ()
    assert len(house.told) == before


async def test_a_test_uses_the_present_credential(house: Installation) -> None:
    """That of the link alone, opened for it; none for a link without one."""
    link = await house.upstreams.link(APP, "quay", TERMS, house.operation())
    await house.upstreams.test("quay", APP, "org/api:1.2", house.operation())
    changed = await house.upstreams.set("quay", APP, LinkChange(secret=Secret(OTHER_KEY)), house.operation())
    await house.upstreams.test(link.id, None, None, house.operation())
    bare = await house.upstreams.set("quay", APP, LinkChange(anonymous=True), house.operation())
    await house.upstreams.test("quay", APP, None, house.operation())

    assert house.checks.asked == [
        (link, Secret(KEY), "org/api:1.2"),
        (changed, Secret(OTHER_KEY), None),
        (bare, None, None),
    ]


async def test_the_health_has_the_result(house: Installation) -> None:
    """The last good test, and the step that failed last; neither the link nor the audit changes."""
    link = await house.upstreams.link(APP, "quay", TERMS, house.operation())
    told = len(house.told)
    first = house.now
    await house.upstreams.test("quay", APP, None, house.operation())
    house.pass_time(hours=1)
    house.checks.steps = [ProbeStep("dns", ok=True, words="x"), DENIED, ProbeStep("manifest", None, "not tried")]
    assert DENIED in await house.upstreams.test("quay", APP, None, house.operation())

    health = UpstreamHealth(first, first + timedelta(hours=1), "token", DENIED.words)
    assert (link, health) == await house.upstreams.show(OPERATOR, "quay", APP)
    assert health.is_failing
    assert len(house.told) == told


async def test_a_step_that_was_not_tried_is_no_failure(house: Installation) -> None:
    """Without a repository the image is not asked for."""
    link = await house.upstreams.link(APP, "quay", TERMS, house.operation())
    house.checks.steps = [ProbeStep("token", ok=True, words="x"), ProbeStep("manifest", None, "not tried")]
    await house.upstreams.test("quay", APP, None, house.operation())
    assert (link, UpstreamHealth(last_good_at=house.now)) == await house.upstreams.show(OPERATOR, "quay", APP)


async def test_a_secret_that_does_not_open_is_not_replaced_by_none(house: Installation) -> None:
    """A test without the credential would find something else."""
    await house.upstreams.link(APP, "quay", TERMS, house.operation())
    house.keys.sealing[:] = [bytes(32)]
    with pytest.raises(Conflict) as refused:
        await house.upstreams.test("quay", APP, None, house.operation())
    assert refused.value.code == "sealing_key_missing"
    assert house.checks.asked == []
