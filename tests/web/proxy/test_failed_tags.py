"""Tags whose look-up failed: the failure is remembered, and nothing else of it."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, field

from authsvc.errors import UpstreamFailed, UpstreamLimited, UpstreamRefused, UpstreamUnavailable
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.tag_policy import RememberedTag, TagPolicy
from authsvc.web.proxy.link_shares import LinkShares
from authsvc.web.proxy.tags import ManifestHead, TagResolver
from tests.support.upstream_links import make_link

ERRORS: dict[str, Callable[[], UpstreamFailed]] = {
    "unavailable": lambda: UpstreamUnavailable("away", detail="for the log", facts={"stage": "tls"}),
    "limited": lambda: UpstreamLimited("enough", 90.0, detail="for the log"),
    "refused": lambda: UpstreamRefused("no", credential=True),
}


class Answer:
    """What a registry has answered, of some megabytes."""


@define
class Failing:
    """A registry whose answers are of no use."""

    error: Callable[[], UpstreamFailed]
    answers: list[weakref.ref[Answer]] = field(factory=list)

    async def head_manifest(self, link: UpstreamLink, repository: str, reference: str) -> ManifestHead:
        """Read an answer, and fail."""
        assert (link.id, repository, reference) == ("up-1", "org/image", "1.0")
        answer = Answer()
        self.answers.append(weakref.ref(answer))
        raise self.error()


class Nothing:
    """Remembers no tag."""

    async def get(self, link: UpstreamLink, repository: str, tag: str) -> RememberedTag | None:
        """Remember nothing."""

    async def put(self, link: UpstreamLink, repository: str, tag: str, remembered: RememberedTag) -> None:
        """Forget it."""

    async def forget(self, link: UpstreamLink, repository: str, tag: str) -> None:
        """Do nothing."""


def length(error: BaseException) -> int:
    """Return how many frames an error holds."""
    frame, count = error.__traceback__, 0
    while frame is not None:
        frame, count = frame.tb_next, count + 1
    return count


@pytest.mark.parametrize("name", ERRORS)
async def test_a_failure_keeps_no_answer(name: str) -> None:
    """Neither what the registry has answered nor who was told: a hostile one fails at as many tags as it likes."""
    error, source = ERRORS[name](), Failing(ERRORS[name])
    policy = TagPolicy(timedelta(minutes=1), timedelta(days=7))
    resolver = TagResolver(source, Nothing(), policy, lambda: datetime(2026, 1, 1, tzinfo=UTC), LinkShares())
    told = []
    for _ in range(4):
        with pytest.raises(type(error)) as failed:
            await resolver.resolve(make_link(Origin("https", "a.example", 443)), "org/image", "1.0", "license:a")
        told.append((str(failed.value), failed.value.code, vars(failed.value), length(failed.value)))
        del failed
    await asyncio.sleep(0)  # until then the loop holds what has woken this test
    gc.collect()

    assert [answer() for answer in source.answers] == [None]
    assert {one[:2] for one in told} == {(str(error), error.code)}
    assert all(one[2] == vars(error) for one in told)
    assert told[1][3] == told[2][3] == told[3][3]
