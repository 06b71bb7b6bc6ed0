"""Deleting from real registries: one tag goes, and nothing else does, whatever happens in between."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from attrs import frozen

from authsvc.errors import Conflict, RegistryUnavailable
from authsvc.registries import tag_deletion
from authsvc.registries.deletion import Deleted, Deletion
from tests.support.deletions import Careless, Killed, Scene, Variant, delete
from tests.support.oci import INDEX, index_of
from tests.support.real_registry import INSTALLED, TRIXIE, RealRegistry
from tests.support.tag_reports import TagReports, reporting

GOES, STAYS, NEW = Variant("goes"), Variant("stays"), Variant("new")
"""What the tag that is deleted points at; what other tags point at; what somebody pushes meanwhile."""

TAG, SIBLING, OTHER, FRESH = "1.0", "latest", "other", "fresh"


@pytest.fixture(scope="module", params=[INSTALLED, TRIXIE], ids=["2.8.2", "2.8.3"])
def reported(request: pytest.FixtureRequest) -> Iterator[tuple[RealRegistry, TagReports]]:
    """Return a running registry and what it reports."""
    with reporting(request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))


@pytest.fixture
def scene(reported: tuple[RealRegistry, TagReports]) -> Scene:
    """Return an empty repository with the blobs of every image."""
    return filled(Scene(*reported))


def filled(scene: Scene) -> Scene:
    """Upload the blobs of every image."""
    scene.upload()
    return scene


# --- what goes, and what stays ----------------------------------------------------------------------------------------


async def test_siblings_stay(scene: Scene) -> None:
    """Tags of one manifest go one by one, and the manifest with the last one."""
    for tag in ("a", "b", "c"):
        scene.put(tag, GOES.manifest)
    left = []
    async with scene.deleting() as (deletion, _):
        for tag in ("b", "a", "c"):
            done = await delete(deletion, tag)
            assert done is not None
            left.append((done.tags, done.manifest, done.sure, scene.content(), scene.get(GOES.digest)))

    assert left == [
        (("b",), False, True, {"a": GOES.manifest, "c": GOES.manifest}, GOES.manifest),
        (("a",), False, True, {"c": GOES.manifest}, GOES.manifest),
        (("c",), True, True, {}, None),
    ]


async def test_what_an_index_needs_stays(scene: Scene) -> None:
    """The only tag of an image that a tagged index contains goes alone: the index can still be pulled."""
    scene.put(TAG, GOES.manifest)
    index = index_of(GOES.manifest)
    scene.put("multi", index, INDEX)
    async with scene.deleting() as (deletion, _):
        plan = await deletion.plan(TAG, None, {})
        assert plan is not None
        done = await deletion.carry_out(plan)

    assert [used.tags for used in plan.use.indexes] == [("multi",)]
    assert (done.tags, done.manifest) == ((TAG,), False)
    assert (scene.content(), scene.get(GOES.digest)) == ({"multi": index}, GOES.manifest)


async def test_what_a_nested_index_needs_stays(scene: Scene) -> None:
    """The same when the index is within another one, and only that one has a tag."""
    scene.put(TAG, GOES.manifest)
    inner = index_of(GOES.manifest)
    inner_digest = scene.put("inner", inner, INDEX)
    outer = index_of(inner).replace(b"vnd.oci.image.manifest", b"vnd.oci.image.index")
    scene.put("outer", outer, INDEX)
    async with scene.deleting() as (deletion, _):
        await delete(deletion, "inner")
        assert scene.get(inner_digest) == inner
        await delete(deletion, TAG)

    assert (scene.content(), scene.get(GOES.digest)) == ({"outer": outer}, GOES.manifest)


@pytest.mark.parametrize("suffix", ["", ".sig", ".att"])
async def test_what_is_signed_stays(scene: Scene, suffix: str) -> None:
    """The manifest stays when something is attached to it by a tag of its digest."""
    scene.put(TAG, GOES.manifest)
    scene.put(f"{GOES.digest.replace(':', '-')}{suffix}", STAYS.manifest)
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, TAG)

    assert done is not None
    assert (done.tags, done.manifest, scene.get(GOES.digest)) == ((TAG,), False, GOES.manifest)


async def test_a_digest_goes_with_its_tags(scene: Scene) -> None:
    """All tags of the digest go, and no other one."""
    for tag, image in ((TAG, GOES), (SIBLING, GOES), (OTHER, STAYS)):
        scene.put(tag, image.manifest)
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, None, GOES.digest)

    assert done is not None
    assert (done.tags, done.manifest, done.sure) == ((TAG, SIBLING), True, True)
    assert (scene.content(), scene.get(GOES.digest)) == ({OTHER: STAYS.manifest}, None)


async def test_what_is_not_there(scene: Scene) -> None:
    """Nothing is deleted, and nothing is asked of the registry but whether it is there."""
    scene.put(TAG, GOES.manifest)
    async with scene.deleting() as (deletion, session):
        assert await deletion.plan("nothing", None, {}) is None
        assert await deletion.plan(None, STAYS.digest, {}) is None

    assert not [request for request in session.sent if not request.startswith(("GET", "HEAD"))]


async def test_a_tag_without_a_manifest(scene: Scene) -> None:
    """A tag that outlived its manifest can be deleted; until then it is no image of the index."""
    scene.put(TAG, GOES.manifest)
    scene.put(OTHER, STAYS.manifest)
    folder = scene.registry.folder / "storage/docker/registry/v2/repositories" / scene.repository / "_manifests"
    (folder / "revisions/sha256" / GOES.digest.removeprefix("sha256:") / "link").unlink()
    assert scene.content() == {TAG: None, OTHER: STAYS.manifest}
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, TAG)

    assert done is not None
    assert (done.tags, scene.content()) == ((TAG,), {OTHER: STAYS.manifest})


# --- at every step ----------------------------------------------------------------------------------------------------


@frozen
class Case:
    """What is deleted.

    Attributes:
        tags: what is there besides: tags of the manifest that goes.
        tag: what goes; None for the digest.
    """

    tags: tuple[str, ...]
    tag: str | None = TAG
    index: bool = False

    @property
    def going(self) -> set[str]:
        """The tags that are to go."""
        return {self.tag} if self.tag else set(self.tags)

    def set_up(self, scene: Scene) -> None:
        """Push what is there at first."""
        for tag in self.tags:
            scene.put(tag, GOES.manifest)
        scene.put(OTHER, STAYS.manifest)
        if self.index:
            scene.put("multi", index_of(GOES.manifest), INDEX)

    async def delete(self, deletion: Deletion) -> Deleted | None:
        """Delete it, if it is what was meant: a push before the first look changes that."""
        plan = await deletion.plan(self.tag, None if self.tag else GOES.digest, {})
        if plan is None:
            return None
        other = plan.digest not in {GOES.digest, None} and not plan.is_leftover
        if other or not set(plan.tags) <= self.going:
            raise Conflict("it is another one", code="image_changed")
        return await deletion.carry_out(plan)


CASES = {
    "with a sibling": Case((TAG, SIBLING)),
    "last tag": Case((TAG,)),
    "in an index": Case((TAG,), index=True),
    "digest": Case((TAG, SIBLING), None),
}

PUSHES: dict[str, tuple[str, Variant]] = {
    "a new image to the tag": (TAG, NEW),
    "the same image to the tag": (TAG, GOES),
    "the image to a new tag": (FRESH, GOES),
    "the image to another tag": (OTHER, GOES),
    "a new image to another tag": (OTHER, NEW),
    "a new image to the sibling": (SIBLING, NEW),
}


async def steps_of(case: Case, reported: tuple[RealRegistry, TagReports], *, reading: bool = False) -> range:
    """Return the numbers of the requests that a deletion takes, without those before its decision if not wanted."""
    scene = filled(Scene(*reported))
    case.set_up(scene)
    async with scene.deleting() as (deletion, session):
        plan = await deletion.plan(case.tag, None if case.tag else GOES.digest, {})
        assert plan is not None
        planned = len(session.sent)
        await deletion.carry_out(plan)
    return range(0 if reading else planned, len(session.sent))


def unharmed(scene: Scene, case: Case, *besides: str) -> None:
    """Check that everything is there that nobody deleted, byte for byte."""
    content = scene.content()
    expected = {tag: GOES.manifest for tag in case.tags if tag not in case.going} | {OTHER: STAYS.manifest}
    if case.index:
        expected["multi"] = index_of(GOES.manifest)
        assert scene.get(GOES.digest) == GOES.manifest
    kept = {tag: manifest for tag, manifest in expected.items() if tag not in besides}
    assert {tag: content.get(tag) for tag in kept} == kept


@pytest.mark.parametrize("push", PUSHES)
@pytest.mark.parametrize("name", CASES)
async def test_a_push_at_every_step(reported: tuple[RealRegistry, TagReports], name: str, push: str) -> None:
    """Whatever is pushed between any two requests of a deletion is there afterwards, and so is everything else."""
    case, (tag, image) = CASES[name], PUSHES[push]
    for step in await steps_of(case, reported, reading=True):
        scene = filled(Scene(*reported))
        case.set_up(scene)
        pushed = False

        def act(number: int, scene: Scene = scene, step: int = step) -> None:
            nonlocal pushed
            if number == step and not pushed:
                pushed = True
                scene.put(tag, image.manifest)

        async with scene.deleting() as (deletion, session):
            session.before = act
            try:
                done = await case.delete(deletion)
            except Conflict as refused:
                done = None
                assert refused.code == "image_changed"  # noqa: PT017
        if not pushed:
            continue  # fewer requests than were counted: one is repeated when it meets a tag that is being written
        content, where = scene.content(), f"{name}, {push}, before {session.sent[step:][:1]}"
        unharmed(scene, case, tag)
        assert not scene.placeholders(), where
        if tag not in case.going or image is not GOES:
            assert content.get(tag) == image.manifest, where
        if done is not None:
            # It may also have been pushed after it was found to be gone.
            assert set(done.tags) >= case.going - content.keys(), where
            assert set(done.pushed) <= content.keys(), where


@pytest.mark.parametrize("name", ["last tag", "digest"])
async def test_an_index_is_pushed_at_every_step(reported: tuple[RealRegistry, TagReports], name: str) -> None:
    """An index that the registry took while its part was deleted is whole: what it contains is there."""
    case, index, taken = CASES[name], index_of(GOES.manifest), 0
    # Before its decision, a deletion of the digest would name the index as one that breaks.
    for step in await steps_of(case, reported, reading=case.tag is not None):
        scene = filled(Scene(*reported))
        case.set_up(scene)
        answered: list[int] = []

        def act(number: int, scene: Scene = scene, step: int = step, answered: list[int] = answered) -> None:
            if number == step and not answered:
                headers = {"Content-Type": INDEX}
                answered.append(scene.ask("PUT", "manifests/multi", body=index, headers=headers).status)

        async with scene.deleting() as (deletion, session):
            session.before = act
            with suppress(Conflict):
                await case.delete(deletion)
        unharmed(scene, case)
        if answered == [201]:
            taken += 1
            where = f"{name}, before {session.sent[step:][:1]}"
            assert (scene.get("multi"), scene.get(GOES.digest)) == (index, GOES.manifest), where
    assert taken


@pytest.mark.parametrize("name", CASES)
async def test_others_delete_the_digest_at_every_step(reported: tuple[RealRegistry, TagReports], name: str) -> None:
    """What others delete meanwhile is not put back, and no placeholder is left."""
    case = CASES[name]
    for step in await steps_of(case, reported):
        scene = filled(Scene(*reported))
        case.set_up(scene)

        def act(number: int, scene: Scene = scene, step: int = step) -> None:
            if number == step:
                scene.delete(GOES.digest)

        async with scene.deleting() as (deletion, session):
            session.before = act
            try:
                await case.delete(deletion)
            except Conflict as refused:
                assert refused.code == "image_changed"  # noqa: PT017
        assert {tag for tag in scene.content() if tag != "multi"} == {OTHER}, session.sent[step:][:1]


@pytest.mark.parametrize("answered", [False, True], ids=["unsent", "answered"])
@pytest.mark.parametrize("name", CASES)
async def test_killed_at_every_step(reported: tuple[RealRegistry, TagReports], name: str, answered: bool) -> None:
    """Whoever dies in the middle harms nothing, and a repeat completes the deletion and leaves no placeholder."""
    case = CASES[name]
    for step in await steps_of(case, reported):
        scene = filled(Scene(*reported))
        case.set_up(scene)
        async with scene.deleting() as (deletion, session):
            session.kill(step, answered=answered)
            try:
                await case.delete(deletion)
            except Killed:
                pass
            else:
                assert len(session.sent) <= step, "it went on without an answer"
        unharmed(scene, case)
        async with scene.deleting() as (deletion, _):
            await case.delete(deletion)
        unharmed(scene, case)
        assert not case.going & scene.content().keys()


@pytest.mark.parametrize("answered", [False, True], ids=["unseen", "carried out"])
@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize("name", CASES)
async def test_no_answer_at_every_step(
    reported: tuple[RealRegistry, TagReports],
    name: str,
    times: int,
    answered: bool,
) -> None:
    """Without an answer, once or for good, nothing else is harmed; what was left behind goes with the next attempt."""
    case = CASES[name]
    for step in await steps_of(case, reported):
        scene = filled(Scene(*reported))
        case.set_up(scene)
        async with scene.deleting() as (deletion, session):
            session.fail(lambda now, step=step: step <= now < step + times, answered=answered)  # type: ignore[misc]
            try:
                await case.delete(deletion)
            except RegistryUnavailable as error:
                said = str(error)
            else:
                said = "done"
        unharmed(scene, case)
        assert not scene.placeholders() or "placeholder" in said
        async with scene.deleting() as (deletion, _):
            await case.delete(deletion)
        unharmed(scene, case)
        assert not case.going & scene.content().keys()


# --- that these tests would notice ------------------------------------------------------------------------------------


async def expect_noticed(test: Callable[..., object], *arguments: object) -> None:
    """Check that a test fails."""
    with pytest.raises(AssertionError):
        await test(*arguments)  # type: ignore[misc]


async def test_a_deletion_of_the_digest_is_noticed(
    reported: tuple[RealRegistry, TagReports], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above fail for a deletion that takes the siblings."""
    monkeypatch.setattr("authsvc.registries.deletion.TagDeletion", Careless)

    await expect_noticed(test_siblings_stay, scene)
    await expect_noticed(test_what_an_index_needs_stays, filled(Scene(*reported)))
    await expect_noticed(test_a_push_at_every_step, reported, "with a sibling", "a new image to another tag")


async def test_a_deletion_without_reports_is_noticed(reported: tuple[RealRegistry, TagReports]) -> None:
    """They fail for one that does not put back what was pushed right before the change: the reports are needed."""
    reported[1].silent = True
    try:
        await expect_noticed(test_a_push_at_every_step, reported, "with a sibling", "a new image to the tag")
        await expect_noticed(test_a_push_at_every_step, reported, "last tag", "the image to a new tag")
    finally:
        reported[1].silent = False
