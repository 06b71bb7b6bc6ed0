"""Corrects the history of images with the result of a crawl: adds pushes and deletes whose events were lost."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.activity.image_name import ImageName
from authsvc.policy import locate
from authsvc.store.activity_layout import seconds
from authsvc.store.activity_script import RECONCILE
from authsvc.store.activity_sink import planned_change
from authsvc.store.connection import Connection

MAX_STEP = 50
"""Most tags of one script, which blocks Redis for about a millisecond."""


@frozen(eq=False, repr=False)
class RedisActivityCrawl:
    """Reconciles the activity with the result of a crawl.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def reconcile(self, repository: str, found: Mapping[str, str], gone: Collection[str], as_of: datetime) -> int:
        """Record tags that exist without a known push, with unknown pushers, and tags that do not exist.

        Known tags are not changed, and neither are those that were pushed or deleted after ``as_of``.

        Args:
            repository: of our registry.
            found: the digest of each tag that the registry listed.
            gone: tags that were listed before, or are known from events, and that the registry no longer has.
            as_of: when the crawl began to read the repository.

        Returns:
            How many tags and digests were changed.

        Raises:
            StoreUnavailable: Redis does not answer; a repetition is harmless.
        """
        location = locate(repository)
        if location is None:
            return 0
        images = [ImageName(repository, tag, digest) for tag, digest in sorted(found.items())]
        changes = [("found", planned_change(image, location.app, as_of)) for image in images]
        lost = [ImageName(repository, tag) for tag in sorted(gone)]
        changes += [("gone", planned_change(image, location.app, as_of)) for image in lost]
        script = self.connection.redis.register_script(RECONCILE)
        changed = 0
        for start in range(0, len(changes), MAX_STEP):
            plan: dict[str, Any] = {"now": seconds(as_of), "found": [], "gone": []}
            for kind, change in changes[start : start + MAX_STEP]:
                plan[kind].append(change)
            changed += await self.connection.run(script(keys=[], args=[json.dumps(plan)]))
        return changed
