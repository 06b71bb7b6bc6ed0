"""Reads the history of images: last pushes and pulls, and the accounts that pulled them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.activity.history import ImageHistory, ImagePull, LastUse
from authsvc.activity.image_name import ImageName
from authsvc.policy import locate
from authsvc.store import keys
from authsvc.store.activity_layout import (
    ACCOUNTS_PER_PART,
    USERS_PER_PART,
    eras,
    image_hash,
    instant,
    long_digest,
    long_subject,
    short_subject,
)
from authsvc.store.connection import Connection
from authsvc.tenancy.pages import Page, read_cursor, write_cursor

MAX_IMAGES = 200
"""Most images that one command reads; Redis takes a millisecond for it."""

PARTS_AT_ONCE = 500
"""Most images of which one command determines whether they are parts; Redis takes half a millisecond for it."""

MAX_PARTS = 8
"""Blocks of accounts of an image that one page reads: 2,000 accounts."""

# Returns whole hashes; the callers limit the number of keys.
_HASHES = """#!lua flags=no-writes
local found = {}
for place, key in ipairs(KEYS) do found[place] = redis.call('HGETALL', key) end
return found
"""


# Returns the positions of the keys of manifests that an index lists: they have no tag in their name.
_PARTS = """#!lua flags=no-writes
local found = {}
for place, key in ipairs(KEYS) do
  local known = redis.call('HMGET', key, 't', 'c')
  if not known[1] and known[2] == '1' then found[#found + 1] = place - 1 end
end
return found
"""


async def read_hashes(connection: Connection, names: Sequence[str]) -> list[dict[bytes, bytes]]:
    """Return the hashes at some keys, in order and as of one instant; one that does not exist is empty.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    if not names:
        return []
    script = connection.redis.register_script(_HASHES)
    found = await connection.read(lambda: script(keys=list(names)))
    return [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in found]


@frozen(eq=False, repr=False)
class RedisActivityImages:
    """Reads what is known of images. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def histories(self, images: Sequence[ImageName]) -> list[ImageHistory]:
        """Return each image's history, in order; one round trip for 200 names, where a tag with a digest is two."""
        names = list(dict.fromkeys(name for image in images for name in _looked_up(image)))
        known: dict[ImageName, ImageHistory] = {}
        for start in range(0, len(names), MAX_IMAGES):
            step = names[start : start + MAX_IMAGES]
            records = await read_hashes(self.connection, [keys.activity_image(image_hash(name)) for name in step])
            known |= {name: _history(name, record) for name, record in zip(step, records, strict=True)}
        return [_of_image(image, known) for image in images]

    async def pulls(
        self, image: ImageName, since: datetime, now: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[ImagePull]:
        """Return the accounts that pulled an image, with the last pull of each; in the order of their first activity.

        Args:
            image: a repository, tag or digest; of a tag with a digest those that pulled either.
            since: only those that pulled since then; for at most 400 days.
            now: the time of the request.
            after: cursor of the previous page, or None.
            limit: most accounts.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        query = f"image pulls {image}"
        location = locate(image.repository)
        found: dict[int, datetime] = {}
        last, at_end, parts = int(read_cursor(query, after) or 0), True, 0
        if location is None:
            return Page(())
        async for end, users in self.users(image, since, now, last + 1):
            found |= {number: at for number, at in users.items() if at is not None and at >= since}
            parts += 1
            if len(found) > limit or parts == MAX_PARTS:
                at_end = False
                last = end
                break
        chosen = sorted(found)[:limit]
        subjects = await self.subjects(location.app, chosen)
        items = tuple(ImagePull(subjects[number], found[number]) for number in chosen if number in subjects)
        place = chosen[-1] if len(found) > limit else last
        return Page(items, None if at_end else write_cursor(query, str(place)))

    async def users(
        self, image: ImageName, since: datetime, until: datetime, start: int
    ) -> AsyncIterator[tuple[int, dict[int, datetime | None]]]:
        """Yield the accounts that used an image in the eras between two instants.

        Yields:
            The last number that it is about, and by number the last pull of each account, or None; in ascending order,
            from the number ``start`` on.
        """
        location = locate(image.repository)
        total = 0 if location is None else await self.account_total(location.app)
        hashes = [image_hash(name) for name in _looked_up(image)]
        for part in range(start // USERS_PER_PART, total // USERS_PER_PART + 1):
            names = [keys.activity_users(name, era, part) for name in hashes for era in eras(since, until)]
            found: dict[int, int] = {}
            for users in await read_hashes(self.connection, names):
                for rest, at in users.items():
                    number = part * USERS_PER_PART + int(rest)
                    if number >= start:
                        found[number] = max(found.get(number, 0), int(at))
            by_number = {number: instant(found[number]) if found[number] else None for number in sorted(found)}
            yield (part + 1) * USERS_PER_PART - 1, by_number

    async def parts(self, hashes: Collection[bytes]) -> set[bytes]:
        """Return those hashes of names that belong to a manifest of an index, named by its digest."""
        found, wanted = set[bytes](), sorted(hashes)
        script = self.connection.redis.register_script(_PARTS)
        for start in range(0, len(wanted), PARTS_AT_ONCE):
            step = wanted[start : start + PARTS_AT_ONCE]
            names = [keys.activity_image(one.hex()) for one in step]
            places = await self.connection.read(lambda: script(keys=names))  # noqa: B023  awaited at once
            found |= {step[place] for place in places}
        return found

    async def account(self, app: str, subject: str) -> int | None:
        """Return the number of a subject in an app; None if it has no activity there."""
        name = short_subject(subject)
        number = await self.connection.read(lambda: self.connection.redis.hget(keys.activity_accounts(app), name))
        return None if number is None else int(number)

    async def account_total(self, app: str) -> int:
        """Return the greatest number of an account of an app."""
        return int(await self.connection.read(lambda: self.connection.redis.hlen(keys.activity_accounts(app))))

    async def subjects(self, app: str, numbers: Sequence[int]) -> dict[int, str]:
        """Return the subjects of some numbers of accounts of an app."""
        parts = sorted({number // ACCOUNTS_PER_PART for number in numbers})
        records = await read_hashes(self.connection, [keys.activity_account_part(app, part) for part in parts])
        by_part = dict(zip(parts, records, strict=True))
        found = {}
        for number in numbers:
            part, rest = divmod(number, ACCOUNTS_PER_PART)
            record = by_part[part].get(b"%d" % rest)
            if record is not None:
                found[number] = long_subject(record.split(b" ")[0].decode())
        return found


def _looked_up(image: ImageName) -> tuple[ImageName, ...]:
    """Return the names under which the history of an image is stored: both for a tag with a digest."""
    return image.names[1:] or image.names


def _of_image(image: ImageName, known: Mapping[ImageName, ImageHistory]) -> ImageHistory:
    first, *others = (known[name] for name in _looked_up(image))
    for other in others:
        first = evolve(
            first,
            pulled=_newer(first.pulled, other.pulled),
            pulled_by_license=_newer(first.pulled_by_license, other.pulled_by_license),
            is_part=other.is_part,
        )
    return evolve(first, image=image)


def _newer(one: LastUse | None, other: LastUse | None) -> LastUse | None:
    return max((use for use in (one, other) if use is not None), key=lambda use: use.at, default=None)


def _history(name: ImageName, record: Mapping[bytes, bytes]) -> ImageHistory:
    pushed, found = _last(name, record, b"p"), _last(name, record, b"c")
    deleted = int(record.get(b"xs", 0)) / 1000
    newest = max((use.at.timestamp() for use in (pushed, found) if use is not None), default=0.0)
    if found is not None and pushed is not None:
        # A crawl that found what was pushed adds nothing; one that found something else shows that an event was lost.
        same = found.digest == pushed.digest or found.at < pushed.at
        pushed, found = (pushed, None) if same else (None, found)
    return ImageHistory(
        name,
        pushed,
        _last(name, record, b"g"),
        _last(name, record, b"l"),
        found,
        instant(deleted) if deleted and newest <= deleted else None,
        record.get(b"c") == b"1",
    )


def _last(name: ImageName, record: Mapping[bytes, bytes], letter: bytes) -> LastUse | None:
    at = record.get(letter + b"s")
    if at is None:
        return None
    by = record.get(letter + b"b", b"").decode()
    digest = record.get(letter + b"d", b"").decode()
    return LastUse(instant(int(at) / 1000), long_subject(by) if by else None, long_digest(digest) or name.digest)
