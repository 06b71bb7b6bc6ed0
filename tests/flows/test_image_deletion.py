"""Random histories of pushes and deletions on real registries: no tag is ever lost but the one that was to go."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from authsvc.registries import tag_deletion
from tests.support.deletion_desk import DeletionDesk
from tests.support.deletion_histories import HISTORIES, Delete, History, Push, Step
from tests.support.deletions import Careless, Scene
from tests.support.installation import installed
from tests.support.real_registry import INSTALLED, TRIXIE, RealRegistry
from tests.support.redis_server import RedisServer, patient, server_in_background
from tests.support.tag_reports import TagReports, reporting

FEW = settings(max_examples=10, database=None, derandomize=True)
"""A few seconds; 200 random ones were run for each registry when this was written."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Return a Redis, emptied for each history."""
    with server_in_background("--appendfsync", "no") as running:
        yield running


@pytest.fixture(scope="module", params=[INSTALLED, TRIXIE], ids=["2.8.2", "2.8.3"])
def reported(request: pytest.FixtureRequest) -> Iterator[tuple[RealRegistry, TagReports]]:
    """Return a running registry and what it reports."""
    with reporting(request.param) as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def no_pauses() -> Iterator[None]:
    """Let attempts follow each other at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))
        yield


def play(redis: RedisServer, reported: tuple[RealRegistry, TagReports], steps: list[Step]) -> None:
    """Play one history in a new repository, on an empty Redis."""

    async def played() -> None:
        connection = patient(redis)
        try:
            await connection.redis.flushall()
            async with installed(connection) as house:
                scene = Scene(*reported)
                scene.upload()
                await History(DeletionDesk(house, scene)).play(steps)
        finally:
            await connection.close()

    asyncio.run(played())


def test_random_histories(redis: RedisServer, reported: tuple[RealRegistry, TagReports]) -> None:
    """After every step exactly the expected tags are there, with their manifests; a crawl finds what a crash left."""

    @FEW
    @given(HISTORIES)
    def histories(steps: list[Step]) -> None:
        play(redis, reported, steps)

    histories()


def undisturbed(steps: list[Step]) -> list[Step]:
    """Return the steps at which nobody dies or pushes at the same moment."""
    return [step for step in steps if not isinstance(step, Delete) or step == Delete(step.name)]


def test_deleting_the_digest_of_a_tag_is_noticed(
    redis: RedisServer, reported: tuple[RealRegistry, TagReports], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The histories fail for a deletion that takes the siblings of a tag."""
    # A push that is reported late would be taken for one of the same moment, and the sibling put back.
    monkeypatch.setattr(reported[1], "silent", True)
    siblings: list[Step] = [Push("a", "one"), Push("b", "one"), Delete("a")]

    @settings(FEW, max_examples=50, phases=[Phase.generate])
    @given(HISTORIES.map(undisturbed))
    def histories(steps: list[Step]) -> None:
        play(redis, reported, steps)

    play(redis, reported, siblings)
    monkeypatch.setattr("authsvc.registries.deletion.TagDeletion", Careless)
    with pytest.raises(AssertionError):
        histories()
    with pytest.raises(AssertionError):
        play(redis, reported, siblings)
