"""Deleting images in the portal: what the page says is what is done, and nothing else is."""

import pytest

from tests.manage.conftest import desk, reported
from tests.support.deletion_desk import ONE, TWO, DeletionDesk
from tests.support.installation import APP
from tests.support.oci import INDEX, index_of
from tests.support.portal_server import PortalServer, portal_server
from tests.support.pushed_images import PushedImages
from tests.web.portal.test_images import HOSTILE, licensed

pytestmark = pytest.mark.usefixtures("people")

__all__ = ["desk", "reported"]

REPOSITORY = f"{APP}/worker"


def path_of(reference: str, repository: str = REPOSITORY) -> str:
    """Return where an image is deleted."""
    return f"/portal/images/{repository}{reference}/-/delete"


async def test_a_tag_nobody_pulled(portal: PortalServer) -> None:
    """It goes with one button; its sibling stays, and the list says that it was deleted."""
    await PushedImages(portal.house).push(REPOSITORY, "1.0", "latest")
    browser = await portal.browser().sign_in("owner@acme.test")
    path = path_of(":1.0")
    assert path in {one.attributes["href"] for one in (await browser.get(path.removesuffix("/-/delete"))).page.all("a")}
    asked = await browser.get(path)
    assert "1 tag, no pull by a customer is recorded in the last 30 days." in asked.page.text
    assert "its other tag latest" in asked.page.text
    assert set(asked.form(path).fields) == {"form_token", "digest"}
    done = await browser.submit(asked, path)
    assert done.location == f"/portal/images?app={APP}&done=deleted"
    assert "The image was deleted." in (await browser.get(done.location)).page.text
    assert (await browser.get(path)).status == 404


async def test_what_customers_use(portal: PortalServer) -> None:
    """They are named, as text; it goes when the repository's name is typed, and when nobody has come since."""
    house, pushed = portal.house, PushedImages(portal.house)
    image = await pushed.push(REPOSITORY, "1.0", "latest")
    await pushed.pull(REPOSITORY, "1.0", image, await licensed(house, HOSTILE))
    browser = await portal.browser().sign_in("owner@acme.test")
    path = path_of(f"@{image.digest}")
    asked = await browser.get(path)
    assert "2 tags, 1 customer pulled this in the last 30 days." in asked.page.text
    assert HOSTILE in asked.page.text
    assert asked.page.all("b") == []

    for typed in ("", "worker", f"{REPOSITORY}:1.0"):
        refused = await browser.submit(asked, path, repository=typed)
        assert (refused.status, "Type the repository" in refused.page.text) == (400, True), typed
    await pushed.pull(REPOSITORY, "latest", image, await licensed(house, "Initech"))
    late = await browser.submit(asked, path, repository=REPOSITORY)
    assert (late.status, "has changed since you looked" in late.page.text) == (409, True)
    assert "2 customers pulled this" in late.page.text
    unasked = await browser.post(path, {"form_token": asked.form(path).fields["form_token"]})
    assert unasked.status == 409
    done = await browser.submit(late, path, repository=REPOSITORY)
    assert done.location.endswith("done=deleted")


async def test_a_tag_that_was_moved(portal: PortalServer) -> None:
    """What the page has shown is what is deleted: another image under the tag is not."""
    pushed = PushedImages(portal.house)
    await pushed.push(REPOSITORY, "1.0")
    browser = await portal.browser().sign_in("owner@acme.test")
    asked = await browser.get(path_of(":1.0"))
    await portal.use_cases.image_deletions.delete(f"{REPOSITORY}:1.0", portal.house.operation())
    moved = await pushed.push(REPOSITORY, "1.0", content=b"another one")
    refused = await browser.submit(asked, path_of(":1.0"))
    assert (refused.status, "was changed since you read it" in refused.page.text) == (412, True)
    assert moved.digest in refused.page.text


async def test_owners_alone_delete(portal: PortalServer) -> None:
    """Nobody else has the button, the page or the deed; another team's owner learns nothing."""
    await PushedImages(portal.house).push(REPOSITORY, "1.0")
    path, image = path_of(":1.0"), f"/portal/images/{REPOSITORY}:1.0"
    for name, status in (("developer", 403), ("viewer", 403), ("stranger", 404)):
        browser = await portal.browser().sign_in(f"{name}@acme.test")
        token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
        assert (await browser.get(path)).status == status, name
        assert (await browser.post(path, {"form_token": token})).status == status, name
        if status == 403:
            assert path not in {one.attributes["href"] for one in (await browser.get(image)).page.all("a")}
    assert (await (await portal.browser().sign_in("owner@acme.test")).get(image)).status == 200


async def test_an_image_of_an_index(desk: DeletionDesk) -> None:
    """On a real registry: the page names the index that would break, and the tags; then the manifest is gone."""
    repository = desk.scene.repository
    desk.scene.put("1.0", ONE.manifest)
    desk.scene.put("other", TWO.manifest)
    desk.scene.put("all", index_of(ONE.manifest), INDEX)
    async with portal_server(desk.house, deletions=desk.registry) as portal:
        browser = await portal.browser().sign_in("owner@acme.test")
        path = path_of(f"@{ONE.digest}", repository)
        asked = await browser.get(path)
        assert f"1 index that it is a part of: {repository}:all" in asked.page.text
        done = await browser.submit(asked, path, repository=repository)
        assert done.location.endswith("done=deleted")
    assert set(desk.scene.content()) == {"all", "other"}
