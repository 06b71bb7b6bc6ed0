"""Deletions of images that are refused: what is not an image, who may not, and a registry that is down."""

from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import (
    Conflict,
    InputRefused,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RegistryUnavailable,
)
from authsvc.manage.actor import Actor
from authsvc.store import keys
from authsvc.tenancy.machine_records import ApiAccess, Grant
from authsvc.tenancy.records import Role
from tests.support.builders import SERVICE, make_member, make_service_account
from tests.support.deletion_desk import ONE, OWNER, TWO, DeletionDesk
from tests.support.installation import APP, TEAM
from tests.support.stores import replaced


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("acme/x", "image_invalid"),
        ("acme/x:1.0@sha256:" + "0" * 64, "image_invalid"),
        ("acme/x@sha256:0", "image_invalid"),
        ("proxy/acme/hub/nginx:1.0", "image_invalid"),
        ("Acme/x:1.0", "image_invalid"),
        ("acme:1.0", "image_invalid"),
        ("", "image_invalid"),
    ],
)
async def test_what_is_not_a_tag_or_digest(desk: DeletionDesk, name: str, code: str) -> None:
    """It is refused by its form alone."""
    with pytest.raises(InputRefused) as refused:
        await desk.deletions.delete(name, desk.house.operation(OWNER))
    assert (refused.value.code, refused.value.field) == (code, "image")


async def test_what_does_not_exist(desk: DeletionDesk) -> None:
    """A tag that is not there, an app of another team and no app at all get the same sentence."""
    desk.scene.put("1.0", ONE.manifest)
    stranger = Actor.of_member(make_member(team="globex-team"))
    sentences = set()
    for actor, name in (
        (OWNER, desk.name(":2.0")),
        (OWNER, desk.name(f"@{TWO.digest}")),
        (stranger, desk.name(":1.0")),
        (OWNER, "nowhere/x:1.0"),
    ):
        with pytest.raises(NotFound) as missing:
            await desk.deletions.delete(name, desk.house.operation(actor))
        sentences.add((str(missing.value).replace(name, "NAME"), missing.value.code, missing.value.field))

    assert sentences == {("there is no image 'NAME'", "image_not_found", "image")}
    assert desk.scene.content() == {"1.0": ONE.manifest}


async def test_the_host_before_a_name(desk: DeletionDesk) -> None:
    """A name as it is copied from a docker command is taken."""
    desk.scene.put("1.0", ONE.manifest)
    name = f"{SERVICE}/{desk.name(':1.0')}"

    assert (await desk.deletions.delete(name, desk.house.operation(OWNER))).tags_deleted == ("1.0",)


@pytest.mark.parametrize(
    ("grant", "may"),
    [
        (Grant(APP, "**", ("delete", "pull")), True),
        (Grant(APP, "**", ("pull", "push")), False),
        (Grant("annex", "**", ("delete", "pull")), False),
        (Grant(APP, "other", ("delete", "pull")), False),
    ],
)
async def test_grants_of_service_accounts(desk: DeletionDesk, grant: Grant, may: bool) -> None:
    """A service account deletes where it may delete at the registry, and nowhere else; nothing is looked at before."""
    desk.scene.put("1.0", ONE.manifest)
    account = make_service_account(grant, team=TEAM, api=ApiAccess.MANAGE)
    actor = Actor.of_service_account(account, None, desk.house.now)
    if may:
        assert (await desk.delete(":1.0", operation=desk.house.operation(actor))).tags_deleted == ("1.0",)
        return
    for name in (desk.name(":1.0"), desk.name(":nothing")):
        with pytest.raises(PermissionDenied):
            await desk.deletions.delete(name, desk.house.operation(actor))
    assert desk.scene.content() == {"1.0": ONE.manifest}


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
async def test_who_may_not(desk: DeletionDesk, role: Role) -> None:
    """Developers and viewers delete nothing."""
    desk.scene.put("1.0", ONE.manifest)
    with pytest.raises(PermissionDenied):
        await desk.delete(":1.0", operation=desk.house.operation(Actor.of_member(make_member(role, team=TEAM))))
    assert desk.scene.content() == {"1.0": ONE.manifest}


async def test_a_moved_tag(desk: DeletionDesk) -> None:
    """With the digest as its entity tag, a deletion leaves a tag that points elsewhere by now."""
    desk.scene.put("1.0", TWO.manifest)
    with pytest.raises(PreconditionFailed):
        await desk.delete(":1.0", operation=evolve(desk.house.operation(OWNER), if_match=(f'"{ONE.digest}"',)))
    deleted = await desk.delete(":1.0", operation=evolve(desk.house.operation(OWNER), if_match=(f'"{TWO.digest}"',)))

    assert deleted.tags_deleted == ("1.0",)


async def test_the_registry_is_down(desk: DeletionDesk) -> None:
    """The failure is recorded, nothing is left pending, and the next attempt works."""
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)
    desk.sessions.append(lambda session: session.fail(lambda _: "PUT" in session.sent[-1], answered=False))
    with pytest.raises(RegistryUnavailable):
        await desk.delete(":1.0")
    assert desk.scene.content() == {"1.0": ONE.manifest, "latest": ONE.manifest}
    assert await desk.house.stores.image_deletions.pending(desk.scene.repository) is None

    await desk.delete(":1.0")
    assert [entry["event"] for entry in await desk.audited()] == [
        *("image.deletion_started", "image.deletion_failed", "image.deletion_started", "image.deleted")
    ]


async def test_another_deletion_is_running(desk: DeletionDesk) -> None:
    """One that takes too long is not waited for without end."""
    desk.scene.put("1.0", ONE.manifest)
    await desk.house.connection.redis.set(keys.repository_lock(desk.scene.repository), "other")
    store: Any = desk.house.stores.image_deletions
    store = evolve(store, locks=evolve(store.locks, patience=0.0))
    deletions = evolve(desk.deletions, stores=replaced(desk.house.stores, image_deletions=store))
    with pytest.raises(Conflict) as busy:
        await deletions.delete(desk.name(":1.0"), desk.house.operation(OWNER))

    assert busy.value.code == "image_deletion_running"
    assert desk.scene.content() == {"1.0": ONE.manifest}
