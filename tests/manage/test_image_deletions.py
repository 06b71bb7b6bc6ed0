"""Deleting images as a use case, on a real Redis and a real registry: what is recorded, and what is asked."""

import json
from datetime import timedelta
from typing import Any

import pytest

from authsvc.errors import (
    ConfirmationNeeded,
)
from authsvc.images.deletion_record import DeletedImage
from authsvc.images.index import IndexChange
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from tests.support.builders import NOW
from tests.support.deletion_desk import NEW, ONE, OWNER, TWO, DeletionDesk
from tests.support.deletions import SteppedSession
from tests.support.installation import APP, TEAM
from tests.support.oci import INDEX, index_of


async def test_a_tag(desk: DeletionDesk) -> None:
    """It goes alone; the audit has its beginning and its end, by whom, and what stays."""
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)
    operation = desk.house.operation(OWNER)
    deleted = await desk.delete(":1.0", operation=operation)

    assert deleted == DeletedImage(
        desk.scene.repository,
        "1.0",
        ONE.digest,
        tags_deleted=("1.0",),
        tags_kept=("latest",),
        pushes_checked=True,
    )
    assert desk.scene.content() == {"latest": ONE.manifest}
    begun, ended = await desk.audited()
    common: dict[str, Any] = {
        "app": APP,
        "team": TEAM,
        "repository": desk.scene.repository,
        "tag": "1.0",
        "digest": ONE.digest,
    }
    common |= {"actor": OWNER.subject, "kept": ["latest"], "customers": 0}
    assert begun.items() >= {"event": "image.deletion_started", "operation": operation.operation_id, **common}.items()
    assert ended.items() >= {"event": "image.deleted", "id": operation.operation_id, **common}.items()
    assert (ended["manifest_deleted"], ended["tags_deleted"], ended["pushes_checked"]) == (False, ["1.0"], True)


async def test_the_last_tag_and_a_digest(desk: DeletionDesk) -> None:
    """With the last tag the manifest goes; a digest goes with its tags, after it was confirmed."""
    for tag, image in (("a", ONE), ("b", TWO), ("c", TWO)):
        desk.scene.put(tag, image.manifest)
    last = await desk.delete(":a")
    said = await desk.confirm(f"@{TWO.digest}")

    assert (last.manifest_deleted, last.tags_deleted) == (True, ("a",))
    assert said == (
        f"deleting REPOSITORY@{TWO.digest} removes 2 tags: :b, :c; "
        f"no pull by a customer of {APP} is recorded in the last 30 days"
    )
    assert desk.scene.content() == {}


async def test_the_index_is_right_at_once(desk: DeletionDesk) -> None:
    """The deleted tag is gone from the index of images, its sibling is there, and the repository is read again."""
    index = RedisImageIndex(desk.house.connection, Codec())
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)
        await index.apply(desk.scene.repository, APP, [IndexChange(tag, None, ONE.digest)], NOW)
    await desk.delete(":1.0")

    assert await index.tags(desk.scene.repository, "") == [("latest", ONE.digest)]
    assert await desk.house.connection.redis.smembers(keys.IMAGES_CHANGED) == {desk.scene.repository.encode()}


async def test_a_push_meanwhile(desk: DeletionDesk) -> None:
    """A tag that was pushed while it was deleted stays, and the answer and the audit say so."""
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)

    def act(session: SteppedSession) -> None:
        def push(number: int) -> None:
            if session.sent[number].startswith("DELETE") and "sha256" in session.sent[number]:
                session.before = lambda _: None
                desk.scene.put("1.0", NEW.manifest)

        session.before = push

    desk.sessions.append(act)
    deleted = await desk.delete(":1.0")

    assert (deleted.tags_deleted, dict(deleted.pushed_again)) == ((), {"1.0": NEW.digest})
    assert desk.scene.content() == {"1.0": NEW.manifest, "latest": ONE.manifest}
    assert (await desk.audited())[-1]["pushed_again"] == {"1.0": NEW.digest}


# --- what is asked ----------------------------------------------------------------------------------------------------


async def test_who_pulled_a_tag(desk: DeletionDesk) -> None:
    """A tag that customers pulled lately is asked about, with their names; one that members pulled is not."""
    desk.scene.put("1.0", ONE.manifest)
    desk.scene.put("2.0", TWO.manifest)
    acme, globex = await desk.license_of("Acme Ltd"), await desk.license_of("Globex")
    await desk.pulled(acme, "1.0", ONE)
    await desk.pulled(globex, None, ONE)
    await desk.pulled("member:m000000000000001", "2.0", TWO)
    await desk.delete(":2.0")

    assert await desk.confirm(":1.0") == (
        "deleting REPOSITORY:1.0 removes the image; 2 customers pulled it in the last 30 days: Acme Ltd, Globex"
    )
    assert [entry.facts["customers"] for entry in desk.told("image.deleted")] == [0, 2]


async def test_who_pulled_it_long_ago(desk: DeletionDesk) -> None:
    """Pulls of more than 30 days ago are not asked about."""
    desk.scene.put("1.0", ONE.manifest)
    await desk.pulled(await desk.license_of("Acme Ltd"), "1.0", ONE)
    desk.house.now += timedelta(days=31)

    assert (await desk.delete(":1.0")).tags_deleted == ("1.0",)


async def test_a_digest_in_an_index(desk: DeletionDesk) -> None:
    """The index that breaks is named; it is deleted all the same when that was confirmed."""
    desk.scene.put("1.0", ONE.manifest)
    desk.scene.put("multi", index_of(ONE.manifest), INDEX)

    said = await desk.confirm(f"@{ONE.digest}")
    assert "removes 1 tag: :1.0; breaks 1 index that it is a part of: REPOSITORY:multi; " in said
    assert desk.scene.content().keys() == {"multi"}


async def test_the_parts_of_an_index(desk: DeletionDesk) -> None:
    """A deleted index leaves what it lists; what has no tag of its own is named, and can be deleted by its digest."""
    index = index_of(ONE.manifest)
    desk.scene.put("platform", ONE.manifest)
    desk.scene.put("multi", index, INDEX)
    tagged = await desk.delete(":multi")
    desk.scene.put("multi", index, INDEX)
    await desk.delete(":platform")
    deleted = await desk.delete(":multi")

    assert (tagged.manifest_deleted, tagged.parts) == (True, ())
    assert (deleted.manifest_deleted, deleted.parts) == (True, (ONE.digest,))
    assert desk.scene.get(ONE.digest) == ONE.manifest
    await desk.confirm(f"@{ONE.digest}")
    assert desk.scene.get(ONE.digest) is None


async def test_a_part_of_two_indexes(desk: DeletionDesk) -> None:
    """It is not named as a part that is left over while another tagged index contains it."""
    both = json.loads(index_of(ONE.manifest))
    both["manifests"] += json.loads(index_of(TWO.manifest))["manifests"]
    for image in (ONE, TWO):
        desk.scene.put(image.digest, image.manifest)
    desk.scene.put("both", json.dumps(both).encode(), INDEX)
    desk.scene.put("one", index_of(ONE.manifest), INDEX)
    first, last = await desk.delete(":both"), await desk.delete(":one")

    assert (first.parts, last.parts) == ((TWO.digest,), (ONE.digest,))


@pytest.mark.parametrize("change", ["tag", "customer", "image"])
async def test_a_mark_is_for_what_was_said(desk: DeletionDesk, change: str) -> None:
    """When another tag, another customer or another image would be concerned, it is asked again."""
    desk.scene.put("1.0", ONE.manifest)
    await desk.pulled(await desk.license_of("Acme Ltd"), "1.0", ONE)
    reference = ":1.0" if change == "image" else f"@{ONE.digest}"
    with pytest.raises(ConfirmationNeeded) as first:
        await desk.delete(reference)
    match change:
        case "tag":
            desk.scene.put("latest", ONE.manifest)
        case "customer":
            await desk.pulled(await desk.license_of("Globex"), "1.0", ONE)
        case _:
            desk.scene.put("1.0", TWO.manifest)
            await desk.pulled(await desk.license_of("Globex"), "1.0", TWO)
    with pytest.raises(ConfirmationNeeded) as second:
        await desk.delete(reference, first.value.mark)

    assert str(second.value) != str(first.value)
    assert "1.0" in desk.scene.content()


async def test_long_lists(desk: DeletionDesk) -> None:
    """A sentence names fifty tags and counts the others."""
    for number in range(53):
        desk.scene.put(f"t{number:02}", ONE.manifest)
    said = await desk.confirm(f"@{ONE.digest}")

    assert "removes 53 tags: :t00, :t01, " in said
    assert ":t49 and 3 more; " in said
    assert desk.scene.content() == {}
