"""Reads how much each license of an app downloaded."""

from datetime import datetime

from attrs import frozen

from authsvc.activity.history import LicenseDownloads
from authsvc.store import keys
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_layout import BYTES, DAY, ERA_DAYS, eras, instant, is_license

MAX_ACCOUNTS = 2_000
"""Most accounts of an app that are examined, in the order of their first activity."""

MAX_LARGEST = 50
"""Most accounts that are returned separately."""

STEP = 500
"""Accounts that one script examines: Redis takes about half a millisecond."""

# One account's bytes in one era are a field of one hash.
_BYTES = f"""#!lua flags=no-writes
local found = {{}}
for place, key in ipairs(KEYS) do found[place] = tonumber(redis.call('HGET', key, '{BYTES}') or 0) end
return found
"""


@frozen(eq=False, repr=False)
class RedisDownloads:
    """Reads downloads. It raises StoreUnavailable when Redis does not answer.

    Attributes:
        images: reads names of accounts.
    """

    images: RedisActivityImages

    async def of(self, app: str, since: datetime, now: datetime) -> LicenseDownloads:
        """Return how much licenses downloaded from the era on that ``since`` lies in."""
        total = await self.images.account_total(app)
        last, spans = min(total, MAX_ACCOUNTS), eras(since, now)
        sizes: dict[int, int] = {}
        for start in range(1, last + 1, STEP):
            numbers = range(start, min(start + STEP, last + 1))
            for era in spans:
                found = await self._bytes([keys.activity_used(app, number, era) for number in numbers])
                for number, size in zip(numbers, found, strict=True):
                    sizes[number] = sizes.get(number, 0) + size
        largest = sorted((number for number, size in sizes.items() if size), key=lambda number: -sizes[number])
        subjects = await self.images.subjects(app, largest)
        licenses = [number for number in largest if is_license(subjects.get(number))]
        return LicenseDownloads(
            instant(spans.start * ERA_DAYS * DAY),
            {subjects[number]: sizes[number] for number in licenses[:MAX_LARGEST]},
            sum(sizes[number] for number in licenses[MAX_LARGEST:]),
            more=total > MAX_ACCOUNTS,
        )

    async def _bytes(self, names: list[str]) -> list[int]:
        connection = self.images.connection
        script = connection.redis.register_script(_BYTES)
        return [int(size) for size in await connection.read(lambda: script(keys=names))]
