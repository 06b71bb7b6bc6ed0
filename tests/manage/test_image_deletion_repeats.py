"""Deletions of images that are repeated: under the same idempotency key, and after a crash at any step."""

import itertools
import random

import pytest

from authsvc.errors import (
    ConfirmationNeeded,
    StoreUnavailable,
)
from authsvc.manage.operation import Operation
from authsvc.store import keys
from tests.support.deletion_desk import NEW, ONE, OWNER, TWO, DeletionDesk
from tests.support.deletions import Killed, SteppedSession
from tests.support.installation import OPERATOR


async def test_a_repeat_gets_the_first_result(desk: DeletionDesk) -> None:
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
async def test_a_crash_at_every_step(desk: DeletionDesk, reference: str, answered: bool) -> None:
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


async def test_a_crash_is_completed_by_whoever_comes_next(desk: DeletionDesk) -> None:
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


async def test_a_deletion_that_cannot_be_recorded(desk: DeletionDesk, monkeypatch: pytest.MonkeyPatch) -> None:
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
