"""Random histories of one repository: pushes and deletions, some of them cut off or disturbed, beside a plain table."""

from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define, field, frozen
from hypothesis import strategies as st

from authsvc.errors import ConfirmationNeeded, Conflict, NotFound
from authsvc.image_index.counter import ImageCounter
from authsvc.image_index.pace import Pace
from authsvc.image_index.repository_update import RepositoryUpdate
from authsvc.images.deletion_record import DeletedImage
from authsvc.images.placeholder import read_placeholder
from authsvc.registries.image_reader import ImageReader
from authsvc.store.codec import Codec
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.image_index import RedisImageIndex
from tests.support.deletion_desk import NEW, ONE, TWO, DeletionDesk
from tests.support.deletions import Killed, SteppedSession
from tests.support.installation import APP
from tests.support.oci import INDEX, MANIFEST, digest_of, index_of

IMAGES = {"one": ONE.manifest, "two": TWO.manifest, "new": NEW.manifest, "index": index_of(ONE.manifest)}
"""Few, so that tags often share one; the index contains the first."""

DIGESTS = {name: digest_of(manifest) for name, manifest in IMAGES.items()}

TAGS = ("a", "b", "c", "d")


@frozen
class Push:
    """Somebody pushes an image to a tag."""

    tag: str
    image: str


@frozen
class Delete:
    """An owner deletes a tag, or an image by its digest.

    Attributes:
        name: of the tag, or of the image.
        killed: the request to the registry at which the deleting process dies; None for none.
        answered: whether it dies when that is answered, and not before it is sent.
        pushed: what somebody pushes at the same moment, before the request ``at``.
        at: see there.
    """

    name: str
    killed: int | None = None
    answered: bool = False
    pushed: Push | None = None
    at: int = 0

    @property
    def reference(self) -> str:
        """What is deleted, behind the name of the repository."""
        return f":{self.name}" if self.name in TAGS else f"@{DIGESTS[self.name]}"


@frozen
class Crawl:
    """The index of images is compared with the registry."""


Step = Push | Delete | Crawl

PUSHES = st.builds(Push, st.sampled_from(TAGS), st.sampled_from(sorted(IMAGES)))
NAMES = st.sampled_from((*TAGS, *TAGS, *sorted(IMAGES)))
REQUESTS = st.integers(0, 60)
"""Larger ones than a deletion has are at its end."""

STEPS: st.SearchStrategy[Step] = st.one_of(
    PUSHES,
    PUSHES,
    st.builds(Delete, NAMES),
    st.builds(Delete, NAMES, killed=REQUESTS, answered=st.booleans()),
    st.builds(Delete, NAMES, pushed=PUSHES, at=REQUESTS),
    st.builds(Crawl),
)

HISTORIES = st.builds(
    lambda first, rest: [*first, *rest], st.lists(PUSHES, min_size=2, max_size=4), st.lists(STEPS, max_size=8)
)


@define
class History:
    """What the repository should hold, and the checks that it does.

    Attributes:
        desk: the installation with the repository.
        tags: the manifest that each tag should show.
        there: images that should be there by their digest.
        begun: the tag whose deletion a crash cut off, when it may still show a placeholder.
    """

    desk: DeletionDesk
    tags: dict[str, bytes | None] = field(factory=dict)
    there: set[str] = field(factory=set)
    begun: str | None = None

    async def play(self, steps: list[Step]) -> None:
        """Take every step, check everything after each, and crawl at the end."""
        for step in [*steps, Crawl()]:
            match step:
                case Push():
                    self._push(step)
                    self._expect(step)
                case Delete():
                    await self._delete(step)
                case Crawl():
                    await self._crawl()
            self._check(step)

    def _push(self, push: Push) -> None:
        """Push as clients do: what an index contains first, by its digest."""
        scene = self.desk.scene
        if push.image == "index":
            scene.put(DIGESTS["one"], IMAGES["one"])
        scene.put(push.tag, IMAGES[push.image], INDEX if push.image == "index" else MANIFEST)

    def _expect(self, push: Push) -> None:
        self.tags[push.tag] = IMAGES[push.image]
        self.there |= {push.image, "one"} if push.image == "index" else {push.image}

    async def _delete(self, step: Delete) -> None:
        mark = None
        if step.name not in TAGS:
            try:
                await self._run(step.reference, None, lambda _: None)
            except ConfirmationNeeded as needed:
                mark = needed.mark
            except NotFound:
                assert step.name not in self.there
                return
        self._complete()  # a question is asked after what others began was completed
        pushed: list[Push] = []
        try:
            deleted = await self._run(step.reference, mark, lambda session: self._disturb(session, step, pushed))
        except Killed:
            self._after_crash(step)
        except (Conflict, ConfirmationNeeded, NotFound) as refused:
            self._after_refusal(step, pushed, refused)
        else:
            self._after_success(step, pushed, deleted)

    async def _run(self, reference: str, mark: str | None, prepare: Callable[[SteppedSession], None]) -> DeletedImage:
        self.desk.sessions[:] = [prepare]
        return await self.desk.delete(reference, mark)

    def _disturb(self, session: SteppedSession, step: Delete, pushed: list[Push]) -> None:
        """Let the session be cut off, or let others push, at the request that the step names."""
        if step.killed is not None:
            session.kill(step.killed, answered=step.answered)

        def push(number: int) -> None:
            if step.pushed is not None and number == step.at and not pushed:
                pushed.append(step.pushed)
                self._push(step.pushed)

        if step.pushed is not None:
            session.before = push

    def _complete(self) -> None:
        """Expect that a deletion that was cut off is completed."""
        if self.begun is not None and _is_placeholder(self.tags.get(self.begun)):
            del self.tags[self.begun]
        self.begun = None

    def _going(self, step: Delete) -> set[str]:
        """Return the tags that a deletion takes."""
        image = None if step.name in TAGS else IMAGES[step.name]
        return {step.name} if image is None else {tag for tag, shown in self.tags.items() if shown == image}

    def _after_crash(self, step: Delete) -> None:
        """Accept what a crash may leave of what was to go; everything else is as it was."""
        going, content = self._going(step), self.desk.scene.content()
        goes = self._image_of(step)
        for tag in going:
            shown = content.get(tag)
            assert shown in {None, self.tags.get(tag)} or (step.name in TAGS and _is_placeholder(shown)), step
            if shown is None:
                self.tags.pop(tag, None)
            else:
                self.tags[tag] = shown
        if goes is not None and self.desk.scene.get(DIGESTS[goes]) is None:
            self.there.discard(goes)
        if step.name in TAGS:
            self.begun = step.name

    def _after_refusal(self, step: Delete, pushed: list[Push], refused: Exception) -> None:
        """Expect that nothing was deleted: only a push of the same moment is a reason."""
        if isinstance(refused, NotFound):
            assert step.name not in {*self.tags, *self.there}, step
        else:
            assert pushed, (step, refused)
        for push in pushed:
            self._expect(push)

    def _after_success(self, step: Delete, pushed: list[Push], deleted: DeletedImage) -> None:
        """Expect that what was to go is gone, but for what others pushed at the same moment."""
        goes, going = self._image_of(step), self._going(step)
        for tag in going:
            self.tags.pop(tag, None)
        if goes is not None and (step.name not in TAGS or not self._is_needed(goes)):
            self.there.discard(goes)
        for push in pushed:
            again = push.tag in going and push.image == goes
            if not again or self.desk.scene.get(push.tag) is not None:
                self._expect(push)
                continue
            # It counts as pushed before the deletion, which took it.
            self.there |= {"one"} if push.image == "index" else set()
        assert set(deleted.pushed_again) <= self.tags.keys(), (step, deleted)

    def _image_of(self, step: Delete) -> str | None:
        """Return the image that a deletion is about."""
        shown = self.tags.get(step.name) if step.name in TAGS else IMAGES[step.name]
        return next((name for name, manifest in IMAGES.items() if manifest == shown), None)

    def _is_needed(self, image: str) -> bool:
        """Whether a tag shows an image, or an index that contains it."""
        shown = set(self.tags.values())
        return IMAGES[image] in shown or (image == "one" and IMAGES["index"] in shown)

    def _check(self, step: Step) -> None:
        """Check every tag byte for byte, and which images can be pulled by their digest."""
        scene = self.desk.scene
        content = scene.content()
        assert {tag: _said(shown) for tag, shown in content.items()} == {
            tag: _said(shown) for tag, shown in self.tags.items()
        }, step
        assert content == self.tags, step
        assert {name for name in IMAGES if scene.get(DIGESTS[name]) is not None} == self.there, step

    async def _crawl(self) -> None:
        """Check that a crawl finds every tag where it is, and each deletion that did not finish."""
        connection, repository = self.desk.house.connection, self.desk.scene.repository
        index, crawl = RedisImageIndex(connection, Codec()), RedisImageCrawl(self.desk.house.records)
        async with self.desk.scene.deleting() as (deletion, _):
            images = ImageReader(deletion.reading.reader)
            await RepositoryUpdate(index, images, lambda: datetime.now(UTC)).whole(repository, APP, "a crawl")
        listed = dict(await index.tags(repository, ""))
        assert listed == {tag: digest_of(shown) for tag, shown in self.tags.items() if shown is not None}
        total = await ImageCounter(crawl, lambda: datetime.now(UTC), Pace()).count(APP)
        assert total.leftovers == sum(map(_is_placeholder, self.tags.values()))


def _is_placeholder(manifest: bytes | None) -> bool:
    return manifest is not None and read_placeholder(manifest, MANIFEST) is not None


def _said(manifest: bytes | None) -> str:
    """Return the name of what a tag shows, so that a failure can be read."""
    if _is_placeholder(manifest):
        return "placeholder"
    return next((name for name, one in IMAGES.items() if one == manifest), "nothing" if manifest is None else "?")
