"""The tags that a license covers, on a real Redis: the first page has them, and a page is bounded in its work."""

from collections.abc import Sequence

import pytest

from authsvc.errors import InputRefused
from authsvc.images.index import IndexChange
from authsvc.manage import license_images
from authsvc.manage.license_images import covered_tags
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.tenancy.pages import Page, write_cursor
from tests.support.builders import NOW
from tests.support.installation import APP, Installation
from tests.support.oci import digest_of


async def put(house: Installation, repository: str, *tags: str) -> None:
    """Put tags into the index."""
    index = RedisImageIndex(house.connection, Codec())
    changes = [IndexChange(tag, None, digest_of(tag.encode())) for tag in tags]
    assert await index.apply(f"{APP}/{repository}", APP, changes, NOW) == []


async def page(house: Installation, patterns: Sequence[str] | None, limit: int, after: str | None) -> Page[str]:
    """Return one page, of texts."""
    found = await covered_tags(house.stores.images, APP, patterns, after, limit)
    return Page(tuple(f"{one.repository.removeprefix(f'{APP}/')}:{one.tag}" for one in found.items), found.next)


async def pages(house: Installation, patterns: Sequence[str] | None, limit: int) -> list[tuple[str, ...]]:
    """Return all pages."""
    found, after = list[tuple[str, ...]](), None
    while True:
        one = await page(house, patterns, limit, after)
        found.append(one.items)
        after = one.next
        if after is None:
            return found


async def test_many_tags_of_others_come_first(house: Installation) -> None:
    """They are not looked at: the first page has what a narrow license pulls."""
    await put(house, "api", *(f"v{number:04}" for number in range(1500)))
    for number in range(250):
        await put(house, f"jobs/j{number:03}", "1.0")
    await put(house, "worker", "1.0", "1.1", "2.0")
    assert await pages(house, ["worker"], 50) == [("worker:1.0", "worker:1.1", "worker:2.0")]
    assert await pages(house, ["*ker"], 2) == [("worker:1.0", "worker:1.1"), ("worker:2.0",)]
    assert (await pages(house, ["jobs/*"], 100))[2] == tuple(f"jobs/j{number:03}:1.0" for number in range(200, 250))
    assert sum(map(len, await pages(house, None, 100))) == 1500 + 250 + 3


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_nothing_is_left_out_or_repeated(house: Installation, limit: int) -> None:
    """Across repositories whose names begin alike, whatever the size of a page."""
    names = ("a", "a-b", "a/b", "a/b/c", "ab", "b", "b/a")
    for name in names:
        await put(house, name, "1", "2", "3")
    for patterns, covered in (
        (None, names),
        (["a"], ("a",)),
        (["a*", "b"], ("a", "a-b", "ab", "b")),
        (["a/**", "a"], ("a", "a/b", "a/b/c")),
        (["**/b"], ("a/b", "b")),
        (["none", "b/a"], ("b/a",)),
    ):
        expected = [f"{name}:{tag}" for name in covered for tag in "123"]
        found = await pages(house, patterns, limit)
        assert [tag for one in found for tag in one] == expected, patterns
        assert len(found) == max(1, -(-len(expected) // limit)), patterns


async def test_a_page_ends(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many names it is short, and the next one goes on."""
    monkeypatch.setattr(license_images, "MAX_NAMES", 2)
    for name in ("a", "b", "c", "x"):
        await put(house, name, "1")
    assert await pages(house, ["*x"], 50) == [(), ("x:1",), ()]


async def test_a_cursor_opens_nothing(house: Installation) -> None:
    """Anybody can make a cursor: one that names another repository leads to none of its tags."""
    await put(house, "secret", "1", "2")
    await put(house, "worker", "1")
    made = write_cursor(f"covered {APP} ['worker']", f"{APP}/secret 1")
    assert (await page(house, ["worker"], 50, made)).items == ("worker:1",)
    with pytest.raises(InputRefused):
        await page(house, ["api"], 50, made)
