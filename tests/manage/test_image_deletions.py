"""Deleting images as a use case, on a real Redis and a real registry: who may, what is asked, and what is recorded."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from attrs import define, evolve, field, frozen

from authsvc.audit.entry import Entry
from authsvc.errors import (
    ConfirmationNeeded,
    Conflict,
    InputRefused,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RegistryUnavailable,
    StoreUnavailable,
)
from authsvc.images.deletion_record import DeletedImage
from authsvc.images.index import IndexChange
from authsvc.manage.actor import Actor
from authsvc.manage.image_deletions import ImageDeletions
from authsvc.manage.operation import Operation
from authsvc.registries import tag_deletion
from authsvc.registries.deletion import Deletion
from authsvc.registries.tag_deletion import RepositoryLock
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store import keys
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.tenancy.machine_records import ApiAccess, Grant
from authsvc.tenancy.records import Role
from tests.manage.use_cases import terms
from tests.support.builders import NOW, SERVICE, make_member, make_service_account
from tests.support.deletions import Killed, Scene, SteppedSession, Variant
from tests.support.installation import APP, OPERATOR, TEAM, Installation
from tests.support.oci import INDEX, MANIFEST, index_of
from tests.support.real_registry import INSTALLED, RealRegistry
from tests.support.tag_reports import TagReports, reporting

ONE, TWO, NEW = Variant("one"), Variant("two"), Variant("new")
OWNER = Actor.of_member(make_member(team=TEAM))


@pytest.fixture(scope="module")
def reported() -> Iterator[tuple[RealRegistry, TagReports]]:
    """Return a running registry and what it reports."""
    with reporting(INSTALLED) as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))


@frozen
class SceneRegistry:
    """The registry of one scene; it implements :class:`authsvc.manage.image_deletions.RegistryDeletions`.

    Attributes:
        scene: the only repository.
        prepare: is given each session before it is used.
    """

    scene: Scene
    prepare: Callable[[SteppedSession], None]

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[Deletion]:
        """Yield what deletes."""
        assert name == self.scene.repository
        async with self.scene.deleting() as (deletion, session):
            self.prepare(session)
            yield evolve(deletion, lock=lock, entropy=entropy)


@define
class Desk:
    """An installation with one repository.

    Attributes:
        house: the installation.
        scene: the repository.
        deletions: the use case.
        sessions: what is done with each session before it is used.
    """

    house: Installation
    scene: Scene
    sessions: list[Callable[[SteppedSession], None]] = field(factory=list)
    numbers: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def deletions(self) -> ImageDeletions:
        """The use case."""
        return ImageDeletions(self.house.stores, SceneRegistry(self.scene, self._prepare), SERVICE)

    def _prepare(self, session: SteppedSession) -> None:
        if self.sessions:
            self.sessions.pop(0)(session)

    def name(self, reference: str) -> str:
        """Return the name of an image of the repository: ``:TAG`` or ``@DIGEST`` behind it."""
        return f"{self.scene.repository}{reference}"

    async def delete(
        self, reference: str, confirmed: str | None = None, *, operation: Operation | None = None
    ) -> DeletedImage:
        """Delete an image."""
        made = operation or self.house.operation(OWNER)
        return await self.deletions.delete(self.name(reference), made, confirmed)

    async def confirm(self, reference: str) -> str:
        """Return the sentence that has to be confirmed, and confirm it."""
        with pytest.raises(ConfirmationNeeded) as needed:
            await self.delete(reference)
        await self.delete(reference, needed.value.mark)
        return str(needed.value).replace(self.scene.repository, "REPOSITORY")

    async def pulled(self, subject: str, tag: str | None, image: Variant) -> None:
        """Record a pull."""
        event = RegistryEvent(
            f"e{next(self.numbers)}", self.house.now, EventAction.PULL, self.scene.repository, MANIFEST, image.digest,
            1, tag, method="GET", subject=subject,
        )  # fmt: skip
        recorded = await RedisActivitySink(self.house.connection, Codec()).record([event], self.house.now)
        assert recorded.accepted == 1

    async def license_of(self, customer: str) -> str:
        """Return the subject of a new license."""
        made, _ = await self.house.licenses.create(
            APP, evolve(terms(self.house), customer=customer), self.house.operation()
        )
        return f"license:{made.id}"

    def told(self, *events: str) -> list[Entry]:
        """Return the entries that were logged with these events."""
        return [entry for entry in self.house.told if entry.event in events]

    async def audited(self) -> list[dict[str, Any]]:
        """Return what the audit has of images."""
        entries: Any = await self.house.connection.redis.xrange(keys.AUDIT)
        found = [json.loads(fields[b"entry"]) for _, fields in entries]
        return [entry for entry in found if entry["event"].startswith("image.")]


@pytest.fixture
async def desk(house: Installation, reported: tuple[RealRegistry, TagReports]) -> Desk:
    """Return an installation, and an empty repository of its app."""
    scene = Scene(*reported)
    scene.upload()
    return Desk(house, scene)


# --- what is done, and recorded ---------------------------------------------------------------------------------------


async def test_a_tag(desk: Desk) -> None:
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


async def test_the_last_tag_and_a_digest(desk: Desk) -> None:
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


async def test_the_index_is_right_at_once(desk: Desk) -> None:
    """The deleted tag is gone from the index of images, its sibling is there, and the repository is read again."""
    index = RedisImageIndex(desk.house.connection, Codec())
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)
        await index.apply(desk.scene.repository, APP, [IndexChange(tag, None, ONE.digest)], NOW)
    await desk.delete(":1.0")

    assert await index.tags(desk.scene.repository, "") == [("latest", ONE.digest)]
    assert await desk.house.connection.redis.smembers(keys.IMAGES_CHANGED) == {desk.scene.repository.encode()}


async def test_a_push_meanwhile(desk: Desk) -> None:
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


async def test_who_pulled_a_tag(desk: Desk) -> None:
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


async def test_who_pulled_it_long_ago(desk: Desk) -> None:
    """Pulls of more than 30 days ago are not asked about."""
    desk.scene.put("1.0", ONE.manifest)
    await desk.pulled(await desk.license_of("Acme Ltd"), "1.0", ONE)
    desk.house.now += timedelta(days=31)

    assert (await desk.delete(":1.0")).tags_deleted == ("1.0",)


async def test_a_digest_in_an_index(desk: Desk) -> None:
    """The index that breaks is named; it is deleted all the same when that was confirmed."""
    desk.scene.put("1.0", ONE.manifest)
    desk.scene.put("multi", index_of(ONE.manifest), INDEX)

    said = await desk.confirm(f"@{ONE.digest}")
    assert "removes 1 tag: :1.0; breaks 1 index that it is a part of: REPOSITORY:multi; " in said
    assert desk.scene.content().keys() == {"multi"}


async def test_the_parts_of_an_index(desk: Desk) -> None:
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


@pytest.mark.parametrize("change", ["tag", "customer", "image"])
async def test_a_mark_is_for_what_was_said(desk: Desk, change: str) -> None:
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


async def test_long_lists(desk: Desk) -> None:
    """A sentence names fifty tags and counts the others."""
    for number in range(53):
        desk.scene.put(f"t{number:02}", ONE.manifest)
    said = await desk.confirm(f"@{ONE.digest}")

    assert "removes 53 tags: :t00, :t01, " in said
    assert ":t49 and 3 more; " in said
    assert desk.scene.content() == {}


# --- what is refused --------------------------------------------------------------------------------------------------


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
async def test_what_is_not_a_tag_or_digest(desk: Desk, name: str, code: str) -> None:
    """It is refused by its form alone."""
    with pytest.raises(InputRefused) as refused:
        await desk.deletions.delete(name, desk.house.operation(OWNER))
    assert (refused.value.code, refused.value.field) == (code, "image")


async def test_what_does_not_exist(desk: Desk) -> None:
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


async def test_the_host_before_a_name(desk: Desk) -> None:
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
async def test_grants_of_service_accounts(desk: Desk, grant: Grant, may: bool) -> None:
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
async def test_who_may_not(desk: Desk, role: Role) -> None:
    """Developers and viewers delete nothing."""
    desk.scene.put("1.0", ONE.manifest)
    with pytest.raises(PermissionDenied):
        await desk.delete(":1.0", operation=desk.house.operation(Actor.of_member(make_member(role, team=TEAM))))
    assert desk.scene.content() == {"1.0": ONE.manifest}


async def test_a_moved_tag(desk: Desk) -> None:
    """With the digest as its entity tag, a deletion leaves a tag that points elsewhere by now."""
    desk.scene.put("1.0", TWO.manifest)
    with pytest.raises(PreconditionFailed):
        await desk.delete(":1.0", operation=evolve(desk.house.operation(OWNER), if_match=(f'"{ONE.digest}"',)))
    deleted = await desk.delete(":1.0", operation=evolve(desk.house.operation(OWNER), if_match=(f'"{TWO.digest}"',)))

    assert deleted.tags_deleted == ("1.0",)


async def test_the_registry_is_down(desk: Desk) -> None:
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


async def test_another_deletion_is_running(desk: Desk) -> None:
    """One that takes too long is not waited for without end."""
    desk.scene.put("1.0", ONE.manifest)
    await desk.house.connection.redis.set(keys.repository_lock(desk.scene.repository), "other")
    store: Any = desk.house.stores.image_deletions
    store = evolve(store, locks=evolve(store.locks, patience=0.0))
    deletions = evolve(desk.deletions, stores=evolve(desk.house.stores, image_deletions=store))
    with pytest.raises(Conflict) as busy:
        await deletions.delete(desk.name(":1.0"), desk.house.operation(OWNER))

    assert busy.value.code == "image_deletion_running"
    assert desk.scene.content() == {"1.0": ONE.manifest}


# --- repeats, and crashes ---------------------------------------------------------------------------------------------


async def test_a_repeat_gets_the_first_result(desk: Desk) -> None:
    """Under the same idempotency key the first result comes back, also when the tag was pushed again since."""
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)

    def keyed() -> Operation:
        return Operation.keyed(OWNER, desk.house.now, "key-1", b"DELETE", random.randbytes)

    first = await desk.delete(":1.0", operation=keyed())
    desk.scene.put("1.0", TWO.manifest)

    assert await desk.delete(":1.0", operation=keyed()) == first
    assert desk.scene.content()["1.0"] == TWO.manifest
    assert len(desk.told("image.deleted")) == 1


@pytest.mark.parametrize("answered", [False, True], ids=["unsent", "answered"])
@pytest.mark.parametrize("reference", [":1.0", ":only", f"@{ONE.digest}"])
async def test_a_crash_at_every_step(desk: Desk, reference: str, answered: bool) -> None:
    """Whoever repeats it completes it: the image is gone, nothing else is, and the audit says so exactly once."""
    for step in itertools.count():
        desk.house.told.clear()
        await desk.house.connection.redis.delete(keys.AUDIT, keys.AUDIT_SIZE)
        for tag, image in (("1.0", ONE), ("latest", ONE), ("only", TWO), ("other", NEW)):
            desk.scene.put(tag, image.manifest)
        mark = None
        if reference.startswith("@"):
            with pytest.raises(ConfirmationNeeded) as needed:
                await desk.delete(reference)
            mark = needed.value.mark
        desk.sessions.append(lambda session, step=step: session.kill(step, answered=answered))  # type: ignore[misc]
        try:
            await desk.delete(reference, mark)
        except Killed:
            died = True
        else:
            died = False
        if died:
            try:
                await desk.delete(reference, mark)
            except ConfirmationNeeded as again:  # the digest lost a tag, so other tags are to be confirmed
                await desk.delete(reference, again.mark)
        content = desk.scene.content()
        kept = {"1.0", "latest", "only", "other"} - ({"1.0", "latest"} if mark else {reference[1:]})
        assert content.keys() == kept, step
        assert content["other"] == NEW.manifest
        assert await desk.house.stores.image_deletions.pending(desk.scene.repository) is None
        ends = [entry for entry in await desk.audited() if entry["event"] == "image.deleted"]
        assert len(ends) == 1, (step, ends)
        assert ends[0]["digest"] == (TWO.digest if reference == ":only" else ONE.digest), step
        if not died:
            break
    assert step > 5


async def test_a_crash_is_completed_by_whoever_comes_next(desk: Desk) -> None:
    """The next deletion in the repository cleans up, in the name of whoever began."""
    for tag in ("1.0", "latest", "next"):
        desk.scene.put(tag, ONE.manifest)

    def die(session: SteppedSession) -> None:
        def before(number: int) -> None:
            if session.sent[number].startswith("DELETE") and "sha256" in session.sent[number]:
                session.before = before_any
                raise Killed

        def before_any(_number: int) -> None:
            raise Killed

        session.before = before

    desk.sessions.append(die)
    with pytest.raises(Killed):
        await desk.delete(":1.0")
    assert desk.scene.placeholders() == ["1.0"]
    await desk.delete(":next", operation=desk.house.operation(OPERATOR))

    assert desk.scene.content() == {"latest": ONE.manifest}
    ends = {entry.facts["tag"]: entry for entry in desk.told("image.deleted")}
    assert (ends["1.0"].actor, ends["1.0"].facts["digest"]) == (OWNER.subject, ONE.digest)
    assert ends["next"].actor == OPERATOR.subject


async def test_a_deletion_that_cannot_be_recorded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Redis stops answering after the image is gone, that is said, and the repeat records it."""
    for tag in ("1.0", "latest"):
        desk.scene.put(tag, ONE.manifest)
    store = type(desk.house.stores.image_deletions)

    async def away(*_: object) -> None:
        raise StoreUnavailable("away", uncertain=True)

    with monkeypatch.context() as patched:
        patched.setattr(store, "end", away)
        with pytest.raises(StoreUnavailable, match="the image was deleted"):
            await desk.delete(":1.0")
    assert desk.scene.content() == {"latest": ONE.manifest}
    assert (await desk.delete(":1.0")).tags_deleted == ("1.0",)
    assert len(desk.told("image.deleted")) == 1
