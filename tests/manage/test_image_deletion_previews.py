"""What a person is told before a tag of a large repository is deleted: few requests, and nothing that is false."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from authsvc.errors import ConfirmationNeeded, NotFound
from authsvc.images.index import IndexChange
from authsvc.manage import image_deletions
from authsvc.manage.ended_images import DeletionPreview
from authsvc.registries.deletion import Deletion, DeletionOutcome
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from tests.support.builders import NOW
from tests.support.deletion_desk import ONE, OWNER, TWO, DeletionDesk
from tests.support.deletions import SteppedSession, Variant
from tests.support.installation import APP
from tests.support.oci import INDEX, index_of

OTHERS = 4
"""Tags of other images, each of its own."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a repository of more than three tags be a large one."""
    monkeypatch.setattr(image_deletions, "FEW_TAGS", 3)


@pytest.fixture
async def large(desk: DeletionDesk, few: None) -> DeletionDesk:
    """Return a repository with some tags, which the index has as they are."""
    for number in range(OTHERS):
        await pushed(desk, f"other-{number}", Variant(f"other {number}"))
    return desk


async def pushed(desk: DeletionDesk, tag: str, image: Variant, *, indexed: Variant | None = None) -> None:
    """Push a tag; the index has it, or another image under it."""
    desk.scene.put(tag, image.manifest)
    index = RedisImageIndex(desk.house.connection, Codec())
    change = IndexChange(tag, None, (indexed or image).digest)
    assert await index.apply(desk.scene.repository, APP, [change], NOW) == []


async def preview(desk: DeletionDesk, reference: str) -> tuple[DeletionPreview, list[str]]:
    """Return what a person is told, and the requests to the registry that it took."""
    sessions = list[SteppedSession]()
    desk.sessions.append(sessions.append)
    found = await desk.deletions.preview(desk.name(reference), desk.house.operation(OWNER))
    return found, sessions[0].sent


async def asked(desk: DeletionDesk, reference: str) -> ConfirmationNeeded:
    """Return what is asked before a deletion."""
    with pytest.raises(ConfirmationNeeded) as needed:
        await desk.delete(reference)
    return needed.value


async def test_one_other_tag_decides(large: DeletionDesk) -> None:
    """The registry is asked of one other tag; page, command and API ask for the same, and that is what is done."""
    for tag in ("1.0", "latest"):
        await pushed(large, tag, ONE)
    await large.pulled(await large.license_of("Acme Ltd"), "1.0", ONE)
    found, sent = await preview(large, ":1.0")

    assert (found.tags, found.kept, found.all_kept, found.deletes_manifest) == (("1.0",), ("latest",), False, False)
    assert len(sent) == 4, sent
    assert found.ends is not None
    needed = await asked(large, ":1.0")
    assert (needed.mark, str(needed)) == (found.ends.mark, found.ends.sentence)
    assert "removes this tag; its other tags and its digest stay" in str(needed)
    deleted = await large.delete(":1.0", found.ends.mark)
    assert (deleted.manifest_deleted, deleted.tags_kept) == (False, ("latest",))


async def test_no_other_tag_is_known(large: DeletionDesk) -> None:
    """It is left open whether the image goes; who confirms that has confirmed what is found then."""
    await pushed(large, "1.0", ONE)
    await large.pulled(await large.license_of("Acme Ltd"), "1.0", ONE)
    found, sent = await preview(large, ":1.0")

    assert (found.kept, found.deletes_manifest, len(sent)) == ((), None, 3)
    assert found.ends is not None
    assert "removes this tag, and the image with it unless something else needs it" in found.ends.sentence
    assert (await asked(large, ":1.0")).mark == found.ends.mark
    assert (await large.delete(":1.0", found.ends.mark)).manifest_deleted


async def test_what_is_left_open_may_stay(large: DeletionDesk) -> None:
    """An index that contains the image, which the preview did not look at, keeps it."""
    await pushed(large, "1.0", ONE)
    large.scene.put("multi", index_of(ONE.manifest), INDEX)
    await large.pulled(await large.license_of("Acme Ltd"), "1.0", ONE)
    found, _ = await preview(large, ":1.0")

    assert found.ends is not None
    deleted = await large.delete(":1.0", found.ends.mark)
    assert (deleted.tags_deleted, deleted.manifest_deleted) == (("1.0",), False)
    assert large.scene.get(ONE.digest) == ONE.manifest


async def test_what_stays_is_not_what_was_left_open(large: DeletionDesk) -> None:
    """Who confirmed that the image stays has not confirmed that it goes: the other tag went meanwhile."""
    for tag in ("1.0", "latest"):
        await pushed(large, tag, ONE)
    await large.pulled(await large.license_of("Acme Ltd"), "1.0", ONE)
    found, _ = await preview(large, ":1.0")
    large.scene.put("latest", TWO.manifest)

    assert found.ends is not None
    with pytest.raises(ConfirmationNeeded) as again:
        await large.delete(":1.0", found.ends.mark)
    assert "removes the image" in str(again.value)
    assert "1.0" in large.scene.content()


async def index_is_wrong(desk: DeletionDesk) -> None:
    """Look at a tag of which the index has a sibling that the registry has not."""
    await pushed(desk, "1.0", ONE)
    await pushed(desk, "latest", TWO, indexed=ONE)
    found, _ = await preview(desk, ":1.0")
    assert (found.kept, found.deletes_manifest) == ((), None)


async def test_the_index_is_wrong(large: DeletionDesk) -> None:
    """A sibling that only the index has does not let a person believe that the image stays."""
    await index_is_wrong(large)
    assert (await large.delete(":1.0")).manifest_deleted


async def test_the_index_does_not_know_a_sibling(large: DeletionDesk) -> None:
    """The preview leaves open what the index does not know, and the deletion leaves the sibling and the image."""
    await pushed(large, "1.0", ONE)
    large.scene.put("latest", ONE.manifest)
    found, _ = await preview(large, ":1.0")

    assert found.deletes_manifest is None
    assert (await large.delete(":1.0")).tags_kept == ("latest",)


async def test_a_stale_digest(large: DeletionDesk) -> None:
    """What is shown is where the tag points at the registry, not in the index."""
    await pushed(large, "1.0", TWO, indexed=ONE)
    await pushed(large, "latest", TWO)
    found, _ = await preview(large, ":1.0")

    assert (found.digest, found.kept) == (TWO.digest, ("latest",))


async def test_a_tag_that_is_not_there(large: DeletionDesk) -> None:
    """It costs one request."""
    sessions = list[SteppedSession]()
    large.sessions.append(sessions.append)
    with pytest.raises(NotFound):
        await large.deletions.preview(large.name(":none"), large.house.operation(OWNER))
    assert len(sessions[0].sent) == 1


async def test_a_digest(large: DeletionDesk) -> None:
    """All of its tags are looked for at the registry, whatever the index knows."""
    await pushed(large, "1.0", ONE)
    large.scene.put("latest", ONE.manifest)
    found, _ = await preview(large, f"@{ONE.digest}")

    assert (found.tags, found.deletes_manifest, found.all_kept) == (("1.0", "latest"), True, True)


async def test_a_look_at_the_index_alone_is_noticed(large: DeletionDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests fail for a preview that believes the index."""
    rightly = Deletion.outcome

    async def believing(
        self: Deletion, tag: str, expected: str | None, siblings: Callable[[str], Awaitable[Sequence[str]]]
    ) -> DeletionOutcome | None:
        found = await rightly(self, tag, expected, siblings)
        others = [] if expected is None else [one for one in await siblings(expected) if one != tag]
        if found is None or not others:
            return found
        return DeletionOutcome(tag, found.digest, (tag,), (others[0],), all_kept=False, deletes_manifest=False)

    monkeypatch.setattr(Deletion, "outcome", believing)
    with pytest.raises(AssertionError):
        await index_is_wrong(large)
