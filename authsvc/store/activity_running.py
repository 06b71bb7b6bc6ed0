"""Reads which licenses recently pulled each of many images; for a list of images, so little is read for each."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from authsvc.activity.history import RunningLicenses
from authsvc.activity.image_name import ImageName
from authsvc.store import keys
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_layout import USERS_PER_PART, eras, image_hash, instant, is_license, seconds

MAX_HASHES = 400
"""Hashes of accounts, with up to 256 each, that are read for one list, but at least one for each image."""

MAX_PARTS = 4
"""Hashes of the accounts of one image that are read at most: 1,024 accounts."""

STEP = 40
"""Hashes that one script reads: Redis takes about a millisecond for full ones."""

# Returns for each hash the numbers and times of the accounts that pulled since then.
_SINCE = """#!lua flags=no-writes
local found, since = {}, tonumber(ARGV[1])
for place, key in ipairs(KEYS) do
  local all, some = redis.call('HGETALL', key), {}
  for at = 1, #all, 2 do
    if tonumber(all[at + 1]) >= since then
      some[#some + 1] = tonumber(all[at])
      some[#some + 1] = tonumber(all[at + 1])
    end
  end
  found[place] = some
end
return found
"""


@frozen(eq=False, repr=False)
class RedisRunningLicenses:
    """Reads which licenses run images. It raises StoreUnavailable when Redis does not answer.

    Attributes:
        images: reads names of accounts.
    """

    images: RedisActivityImages

    async def of(self, app: str, images: Sequence[ImageName], since: datetime, now: datetime) -> RunningLicenses:
        """Return the licenses that pulled each of some images of an app; of a tag with a digest those of either.

        Args:
            app: slug.
            images: a repository, a tag, a digest, or a tag with its digest.
            since: only those that pulled since then; for at most 400 days.
            now: the time of the request.
        """
        names = [image.names[1:] or image.names for image in images]
        spans = eras(since, now)
        total = await self.images.account_total(app)
        hashes = sum(map(len, names)) * len(spans)
        parts = min(total // USERS_PER_PART + 1, MAX_PARTS, max(1, MAX_HASHES // max(1, hashes)))
        wanted = [
            (number, part, keys.activity_users(image_hash(name), era, part))
            for number, each in enumerate(names)
            for name in each
            for era in spans
            for part in range(parts)
        ]
        found: list[dict[int, int]] = [{} for _ in images]
        for start in range(0, len(wanted), STEP):
            step = wanted[start : start + STEP]
            rows = await self._since([key for _, _, key in step], seconds(since))
            for (number, part, _), row in zip(step, rows, strict=True):
                for rest, at in zip(row[::2], row[1::2], strict=True):
                    account = part * USERS_PER_PART + rest
                    found[number][account] = max(found[number].get(account, 0), at)
        subjects = await self.images.subjects(app, sorted({account for one in found for account in one}))
        return RunningLicenses(
            tuple(
                {subjects[number]: instant(at) for number, at in one.items() if is_license(subjects.get(number))}
                for one in found
            ),
            more=total >= parts * USERS_PER_PART,
        )

    async def _since(self, names: Sequence[str], since: int) -> list[list[int]]:
        connection = self.images.connection
        script = connection.redis.register_script(_SINCE)
        return [list(row) for row in await connection.read(lambda: script(keys=list(names), args=[since]))]
