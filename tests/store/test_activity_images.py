"""What is known of images after events of the registry: last pushes and pulls, and who pulled since."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from authsvc.activity.history import ImageHistory, ImagePull, LastUse
from authsvc.activity.image_name import ImageName
from authsvc.errors import InputRefused
from authsvc.store import keys
from authsvc.store.activity_crawl import RedisActivityCrawl
from authsvc.store.activity_layout import USERS_PER_PART, image_hash
from tests.support.activity import (
    FOREIGN_LICENSE,
    INDEX,
    LICENSE,
    MEMBER,
    OTHER_LICENSE,
    Recording,
    blob,
    digest,
    event,
    push,
    recording,
)
from tests.support.builders import NOW

TAG = ImageName("acme/worker", "1.0")
DIGEST = ImageName("acme/worker", digest=digest())
BOTH = ImageName("acme/worker", "1.0", digest())
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
async def store() -> AsyncIterator[Recording]:
    """Yield a store without activity."""
    async with recording() as made:
        yield made


async def history(store: Recording, image: ImageName) -> ImageHistory:
    """Return what is known of one image."""
    return (await store.images.histories([image]))[0]


async def pulls(store: Recording, image: ImageName, **changes: object) -> list[ImagePull]:
    """Return the accounts that pulled an image within a day."""
    return list((await store.images.pulls(image, NOW - DAY, NOW, **changes)).items)  # type: ignore[arg-type]


async def test_the_last_push_and_pull_of_a_tag_and_a_digest_are_known(store: Recording) -> None:
    """Each with whom; by a license apart, because a vendor pulls its own images too."""
    await store.record(
        push(timestamp=NOW - HOUR),
        event(timestamp=NOW - timedelta(minutes=30)),
        event(timestamp=NOW - timedelta(minutes=20), subject=MEMBER),
        blob(10, digest=digest(9)),
        event(method="HEAD"),
    )

    pushed = LastUse(NOW - HOUR, MEMBER, digest())
    pulled = LastUse(NOW - timedelta(minutes=20), MEMBER, digest())
    by_license = LastUse(NOW - timedelta(minutes=30), LICENSE, digest())
    for image in (TAG, DIGEST, BOTH):
        assert ImageHistory(image, pushed, pulled, by_license) == await history(store, image)
    assert ImageHistory(ImageName("acme/worker", "2.0")) == await history(store, ImageName("acme/worker", "2.0"))
    assert ImageHistory(ImageName("globex/worker", "1.0")) == await history(store, ImageName("globex/worker", "1.0"))


async def test_a_pull_by_digest_is_one_of_the_tag_that_stands_for_it(store: Recording) -> None:
    """Docker and containerd ask for the digest of a tag, and pull by digest."""
    await store.record(event(method="HEAD", timestamp=NOW - HOUR), event(tag=None))

    assert (await history(store, TAG)).pulled is None
    assert LastUse(NOW, LICENSE, digest()) == (await history(store, BOTH)).pulled
    assert [ImagePull(LICENSE, NOW)] == await pulls(store, BOTH)
    assert [] == await pulls(store, TAG)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_order_in_which_events_come_does_not_matter(store: Recording, order: tuple[int, ...]) -> None:
    """The newest by the registry's time wins, and a tag that was deleted after its push is deleted."""
    events = [
        push(timestamp=NOW - 3 * HOUR),
        push(timestamp=NOW - 2 * HOUR, digest=digest(2), subject="service-account:s000000000000001"),
        event("delete", "DELETE", timestamp=NOW - HOUR, digest=None, media_type=None, subject="system:authsvc"),
    ]
    await store.record(*(events[index] for index in order))

    found = await history(store, TAG)
    assert LastUse(NOW - 2 * HOUR, "service-account:s000000000000001", digest(2)) == found.pushed
    assert NOW - HOUR == found.deleted_at
    assert (await history(store, DIGEST)).deleted_at is None

    await store.record(push(timestamp=NOW))
    assert (await history(store, TAG)).deleted_at is None


async def test_what_exists_is_remembered_and_the_rest_ends(store: Recording) -> None:
    """A pushed tag is known for as long as it exists; what was only pulled, or is deleted, ends by itself."""
    names = [keys.activity_image(image_hash(name)) for name in (TAG, ImageName("acme/worker", "old"))]
    await store.record(push(), event(tag="old"))
    assert -1 == await store.connection.redis.ttl(names[0])
    assert 400 * 86400 < await store.connection.redis.ttl(names[1])

    await store.record(event("delete", "DELETE", timestamp=NOW + HOUR / 60, digest=None), event())
    assert 400 * 86400 < await store.connection.redis.ttl(names[0])


async def test_accounts_that_pulled_come_in_pages(store: Recording) -> None:
    """Each once with its last pull, in the order in which they came; those before the instant are left out."""
    subjects = [f"member:m{number:015d}" for number in range(2 * USERS_PER_PART)]
    await store.record(event(timestamp=NOW - 2 * DAY), event(subject=OTHER_LICENSE, timestamp=NOW - HOUR))
    await store.record(*(event(subject=subject) for subject in subjects), event(subject=OTHER_LICENSE))
    await store.record(event(repository="globex/worker", subject=FOREIGN_LICENSE))

    found: list[ImagePull] = []
    after = None
    while True:
        page = await store.images.pulls(BOTH, NOW - DAY, NOW, after=after, limit=99)
        found += page.items
        after = page.next
        if after is None:
            break
        assert len(page.items) == 99
    assert [ImagePull(subject, NOW) for subject in (OTHER_LICENSE, *subjects)] == found

    with pytest.raises(InputRefused, match="not a cursor of this list"):
        await store.images.pulls(TAG, NOW - HOUR, NOW, after="x")


async def test_several_licenses_of_an_app_each_pulled(store: Recording) -> None:
    """A license of another app that came in the same password did not; the last pull names those that count."""
    joined = f"{LICENSE},c000000000000002,c000000000000003"
    await store.record(event(subject=joined))

    assert [ImagePull(LICENSE, NOW), ImagePull(OTHER_LICENSE, NOW)] == await pulls(store, TAG)
    assert LastUse(NOW, f"{LICENSE},c000000000000002", digest()) == (await history(store, TAG)).pulled_by_license


async def test_manifests_of_an_index_are_known_as_parts(store: Recording) -> None:
    """Whichever event of the index said so, and whenever."""
    child = ImageName("acme/worker", digest=digest(7))
    await store.record(event(tag=None, digest=digest(7)))
    assert not (await history(store, child)).is_part

    await store.record(event(media_type=INDEX, parts=(digest(7),)))
    assert (await history(store, child)).is_part
    assert not (await history(store, DIGEST)).is_part


async def test_a_crawl_corrects_what_lost_events_left_out(store: Recording) -> None:
    """What it finds has an unknown pusher; what it found before, or was pushed since it began, stays as it is."""
    crawl = RedisActivityCrawl(store.connection)
    new, moved = ImageName("acme/worker", "new"), ImageName("acme/worker", "moved")
    await store.record(push(timestamp=NOW - HOUR), push(tag="moved", timestamp=NOW - HOUR), push(tag="gone"))
    listed = {"1.0": digest(), "new": digest(5), "moved": digest(6)}

    assert 5 == await crawl.reconcile("acme/worker", listed, ["gone"], NOW + HOUR)
    assert LastUse(NOW - HOUR, MEMBER, digest()) == (await history(store, TAG)).pushed
    assert ImageHistory(new, found=LastUse(NOW + HOUR, None, digest(5))) == await history(store, new)
    assert ImageHistory(moved, found=LastUse(NOW + HOUR, None, digest(6))) == await history(store, moved)
    assert NOW + HOUR == (await history(store, ImageName("acme/worker", "gone"))).deleted_at

    assert 0 == await crawl.reconcile("acme/worker", listed, ["gone"], NOW + 2 * HOUR)
    await store.record(push(tag="moved", digest=digest(8), timestamp=NOW + 3 * HOUR), now=NOW + 3 * HOUR)
    assert 0 == await crawl.reconcile("acme/worker", {}, ["moved"], NOW + 2 * HOUR)
    assert 1 == await crawl.reconcile("acme/worker", {}, ["new"], NOW + 4 * HOUR)
    assert 1 == await crawl.reconcile("acme/worker", {"gone": digest()}, [], NOW + 4 * HOUR)
    assert (await history(store, ImageName("acme/worker", "gone"))).deleted_at is None
    assert 0 == await crawl.reconcile("not-a-repository", listed, [], NOW)
