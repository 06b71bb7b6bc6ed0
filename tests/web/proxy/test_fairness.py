"""Many customers share one link: what one asks for takes nothing from the others, and little from the registry."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from attrs import define, evolve, field

from authsvc.registries.upstream.client import UpstreamTags
from authsvc.registries.upstream.room import WAITING
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.web.proxy.link_shares import OF_A_SUBJECT, LinkShares
from authsvc.web.proxy.tag_lists import EMPTY, MAX_NAMES, TagLists
from tests.support.oci import Image, digest_of
from tests.support.pull_through import PullThrough, code_of
from tests.support.upstream_links import make_link
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.waiting import PATIENCE, becomes
from tests.web.proxy.conftest import IMAGE

ATTACKER, CUSTOMER = "license:bad", "license:good"
FEW_TOO_MANY = 8


def made_up(kind: str) -> Iterator[str]:
    """Return references that no image has, one more than a subject may ask for at a time."""
    for number in range(OF_A_SUBJECT + WAITING + FEW_TOO_MANY):
        yield f"sha256:{number:064x}" if kind == "digest" else f"made-up-{number}"


@asynccontextmanager
async def flood(pulls: PullThrough, stub: StubUpstream, *references: str) -> AsyncIterator[None]:
    """Ask for images that the registry is slow to say anything about, as one subject, until its queue is full.

    They arrive in the order of ``references``: each is asked for when the one before it has a turn or waits for one.
    """
    for reference in references:
        if ("org/image", reference) not in stub.manifests:
            stub.answers[f"/v2/org/image/manifests/{reference}"] = Answer(404, delay=PATIENCE)
    jobs = []
    for arrived, reference in enumerate(references, pulls.shares.asked + 1):
        jobs.append(asyncio.ensure_future(pulls.get(f"manifests/{reference}", subject=ATTACKER)))
        await becomes(partial(has_arrived, pulls, arrived), "the arrival of each question")
    refused = await asyncio.gather(*jobs[-FEW_TOO_MANY:])
    assert Counter(code_of(answer) for answer in refused) == {(429, "TOOMANYREQUESTS"): FEW_TOO_MANY}
    assert {answer.headers.get("retry-after") for answer in refused} == {"5"}
    yield
    assert not any(job.done() for job in jobs[:-FEW_TOO_MANY])
    stub.answers = {}  # the queue empties at once
    stub.hang_up()
    await asyncio.gather(*jobs)


def has_arrived(pulls: PullThrough, number: int) -> bool:
    """Say whether so many questions have asked for a turn."""
    return pulls.shares.asked >= number


@pytest.mark.parametrize("kind", ["digest", "tag"])
async def test_made_up_names_take_nothing_from_others(pulls: PullThrough, stub: StubUpstream, kind: str) -> None:
    """Another customer gets new tags and blobs meanwhile, and the link's health says nothing of our own limit."""
    await pulls.get("manifests/1.0")
    async with flood(pulls, stub, *made_up(kind)):
        other = Image(b"new")
        stub.put("org/image", "2.0", other)
        assert (await pulls.get("manifests/2.0", subject=CUSTOMER)).body == other.manifest
        assert (await pulls.get(f"blobs/{digest_of(other.layer)}", subject=CUSTOMER)).body == other.layer
        assert len(stub.asked("/manifests/made-up" if kind == "tag" else "/manifests/sha256:000")) == OF_A_SUBJECT
        assert {news for _, news in pulls.health.news} == {"good"}


async def test_nobody_waits_for_the_turn_of_another(pulls: PullThrough, stub: StubUpstream) -> None:
    """A tag that is asked for behind made-up ones is looked up for another customer at once."""
    await pulls.get("manifests/1.0")
    stub.put("org/image", "2.0", IMAGE)
    names = list(made_up("tag"))
    async with flood(pulls, stub, *names[:OF_A_SUBJECT], "2.0", *names[OF_A_SUBJECT:-1]):
        assert (await pulls.get("manifests/2.0", subject=CUSTOMER)).status == 200


async def test_a_known_tag_stands_in_for_who_asks_too_much(pulls: PullThrough, stub: StubUpstream) -> None:
    """It is marked as stale."""
    await pulls.get("manifests/1.0")
    pulls.clock.ahead += timedelta(minutes=2)
    async with flood(pulls, stub, *made_up("tag")):
        answer = await pulls.get("manifests/1.0", subject=ATTACKER)
        assert (answer.status, answer.body) == (200, IMAGE.manifest)
        assert answer.headers["warning"].startswith("110 ")


@pytest.mark.parametrize("rest", ["manifests/9.9", f"manifests/sha256:{'1' * 64}", f"blobs/sha256:{'1' * 64}"])
async def test_what_is_not_there_is_asked_for_once(pulls: PullThrough, stub: StubUpstream, rest: str) -> None:
    """For some seconds, and for one credential."""
    await pulls.get("manifests/1.0")
    for _ in range(5):
        assert (await pulls.get(rest)).status == 404
    assert len(stub.asked(rest)) == 1

    pulls.clock.ahead += timedelta(seconds=6)
    assert (await pulls.get(rest)).status == 404
    assert len(stub.asked(rest)) == 2

    link = pulls.links.links["shop", "stub"]
    pulls.links.put(evolve(link, purge_count=1))
    assert (await pulls.get(rest)).status == 404
    assert len(stub.asked(rest)) == 3


async def test_what_is_missing_as_a_blob_may_be_a_manifest(pulls: PullThrough) -> None:
    """A 404 of one is none of the other."""
    digest = digest_of(IMAGE.manifest)
    assert (await pulls.get(f"blobs/{digest}")).status == 404
    assert (await pulls.get(f"manifests/{digest}")).status == 200


async def test_a_list_of_tags_is_asked_for_once_a_minute(pulls: PullThrough, stub: StubUpstream) -> None:
    """Also when many ask for it at the same time."""
    await pulls.get("manifests/1.0")
    answers = await asyncio.gather(*(pulls.get("tags/list", subject=f"license:{n}") for n in range(6)))
    stub.put("org/image", "2.0", IMAGE)
    answers.append(await pulls.get("tags/list"))
    assert [json.loads(answer.body)["tags"] for answer in answers] == [["1.0"]] * 7
    assert len(stub.asked("/tags/list")) == 1

    pulls.clock.ahead += timedelta(seconds=61)
    assert json.loads((await pulls.get("tags/list")).body)["tags"] == ["1.0", "2.0"]


@define
class LongLists:
    """Has a list as long as one may be for every repository, and an empty one for ``empty…``."""

    asked: Counter[str] = field(factory=Counter)

    async def list_tags(self, link: UpstreamLink, repository: str) -> UpstreamTags:
        """Return it."""
        assert link.id
        self.asked[repository] += 1
        return UpstreamTags(() if repository.startswith("empty") else ("t",) * (MAX_NAMES // 3), complete=True)


async def test_the_lists_that_are_kept_are_bounded() -> None:
    """The one that was asked for the longest ago makes room, and empty ones count too."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    source, link = LongLists(), make_link(Origin("https", "registry.example.com", 443))
    lists = TagLists(source, LinkShares(), timedelta(minutes=1), lambda: now)
    for repository in ("a", "b", "c", "c", "b", "a"):
        await lists.names(link, repository, "s")
    assert source.asked == {"a": 2, "b": 1, "c": 1}

    for number in range(MAX_NAMES // EMPTY + 1):
        await lists.names(link, f"empty{number}", "s")
    await lists.names(link, "empty0", "s")
    assert source.asked["empty0"] == 2
