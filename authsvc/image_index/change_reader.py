"""Reads the images that have changed according to the registry's events: at once, and again a little later.

Distribution reports a push before it writes the tag (``registry/handlers/manifests.go``): a tag that is read at once
may still be the old one. So each change is read again after a while, which costs the registry an answer without
content; only then is it done and removed from Redis.
"""

import asyncio
from collections.abc import Callable

from attrs import define, field

from authsvc.activity.image_name import ImageName
from authsvc.errors import AuthsvcError, InputRefused, RegistryUnavailable, SignerUnavailable, StoreUnavailable
from authsvc.image_index.repository_update import AT_ONCE, RepositoryUpdate
from authsvc.logs import Logger
from authsvc.policy import locate
from authsvc.processes.waiting import all_of
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.image_index import RedisImageIndex

AGAIN_AFTER = (2.0, 15.0)
"""Seconds after which a change is read again."""

MAX_TAKEN = 20
"""Most changes that are read from Redis at one time."""


@define(eq=False, repr=False)
class ChangeReader:
    """Reads changes.

    Attributes:
        index: lists the changes.
        state: lists the apps.
        update: reads the registry, without pauses.
        logger: for failures.
        failed: is called for each change that could not be read.
        waiting: is called with the number of changes that have not been read yet.
    """

    index: RedisImageIndex
    state: RedisImageCrawl
    update: RepositoryUpdate
    logger: Logger
    failed: Callable[[], None] = lambda: None
    waiting: Callable[[int], None] = lambda _: None
    _again: dict[bytes, tuple[float, int]] = field(init=False, factory=dict)
    _interrupted: bool = field(init=False, default=True)

    async def read(self) -> None:
        """Read all changes that are new or due to be read again.

        Raises:
            StoreUnavailable: Redis does not answer; unread changes are read the next time.
            RegistryUnavailable: the registry does not answer, with the same effect.
            SignerUnavailable: no token can be signed, with the same effect.
        """
        if self._interrupted:
            self._again.clear()
            await self.index.take_back()
        self._interrupted = True
        seconds = asyncio.get_running_loop().time
        while taken := await self.index.take_changed(MAX_TAKEN):
            self.waiting(await self.index.changed())
            for start in range(0, len(taken), AT_ONCE):
                await all_of(*(self._read(changed) for changed in taken[start : start + AT_ONCE]))
            self._again |= {changed: (seconds() + AGAIN_AFTER[0], 1) for changed in taken}
        self.waiting(0)
        for changed, times in [(changed, times) for changed, (due, times) in self._again.items() if due <= seconds()]:
            await self._read(changed)
            if times < len(AGAIN_AFTER):
                self._again[changed] = seconds() + AGAIN_AFTER[times], times + 1
            else:
                del self._again[changed]
                await self.index.done([changed])
        self._interrupted = False

    async def _read(self, changed: bytes) -> None:
        """Read one change; one in a repository that belongs to no app is skipped."""
        try:
            image = ImageName.parse(changed.decode("utf-8", "replace"))
        except InputRefused:
            return
        place = locate(image.repository)
        if place is None or place.upstream is not None or not await self.state.known_apps([place.app]):
            return
        try:
            await self._update(image, place.app)
        except (StoreUnavailable, SignerUnavailable):
            raise
        except Exception as error:
            # A change that cannot be read must not prevent others from being read.
            if isinstance(error, RegistryUnavailable) and not await self._registry_answers():
                raise
            self.failed()
            detail = error.detail if isinstance(error, AuthsvcError) else repr(error)
            self.logger.warning("images.unreadable", image=str(image), detail=detail)

    async def _update(self, image: ImageName, app: str) -> None:
        if image.tag is not None:
            await self.update.tag(image.repository, app, image.tag)
        elif image.digest is not None:
            await self.update.digest(image.repository, app, image.digest)
        else:
            await self.update.whole(image.repository, app)

    async def _registry_answers(self) -> bool:
        try:
            await self.update.images.reader.ping()
        except RegistryUnavailable:
            return False
        return True
