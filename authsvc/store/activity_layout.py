"""The layout of the activity in Redis: blocks of time, hashes of names, and packed values.

A *count* is a field of a hash: one of an account, for a block of hours or days. The field is the unit within its
block (1 byte), what was done (1 byte) and a hash of the image's name (8 bytes); the value is the first and the last
second within the unit (3 bytes each) and decimal digits, joined by blanks: how often; for downloads the bytes; and of
linked registries the bytes or 0, how often the cache missed, and how often the tag was stale, unless both are 0.

Long-term data that does not belong to a day is written again in every *era*, and read from the last few: so the expiry
of every key is known when it is created, and no clean-up is needed.
"""

import hashlib
from datetime import UTC, datetime

from attrs import frozen

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.history import ImageUse
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.tenancy.subjects import LICENSE

HOUR, DAY = 3600, 86400

BLOCK_DAYS = 16
"""Days of one block of counts by day; a block of counts by hour is a day."""

ERA_DAYS = 8 * BLOCK_DAYS
"""Days of one era."""

ERAS_KEPT = 3
"""Eras before the current one that are certainly stored."""

ACCOUNTS_PER_PART = 128
"""Accounts in one hash of accounts: Redis stores hashes of up to 512 short fields as one block of memory."""

USERS_PER_PART = 256
"""Accounts in one hash of the accounts that used an image."""

MAX_COUNTS = 2_000
"""Most counts of an account in 16 days, and a quarter of that in a day by the hour. Further ones are counted without
the image."""

MAX_APP_COUNTS = 8_000
"""The same for a whole app."""

MAX_USED = 1_000
"""Most images per era for which the use by an account is stored."""

MAX_NETWORKS = 64
"""Most networks of an account in an era."""

MAX_NEW_IMAGES = 20_000
"""Most new names of images of an app in 16 days."""

TAG_HASH = 16
"""Characters at the end of an entry of the index of a repository's tags: the hash of the tag's name."""

SHA256 = "sha256:"

MORE = "+"
"""Field of a hash that is full: there were more."""

BYTES = "bytes"
"""Field of the hash of used images: the bytes of all downloads."""

NO_IMAGE = b"\0" * 8
"""Stands in a count for images that are counted together."""

KIND_LETTERS = {
    ActivityKind.PULL: "g",
    ActivityKind.HEAD: "h",
    ActivityKind.PUSH: "u",
    ActivityKind.DELETE: "x",
    ActivityKind.DOWNLOAD: "b",
}
"""The kinds of activity in a count: get, head, upload, delete, and the bytes of downloads."""

_KINDS = {
    "g": ActivityKind.PULL,
    "h": ActivityKind.HEAD,
    "u": ActivityKind.PUSH,
    "x": ActivityKind.DELETE,
    "b": ActivityKind.DOWNLOAD,
}

_SHORT = {"member": "m", "service-account": "s", "license": "l"}
_LONG = {"m": "member", "s": "service-account", "l": "license"}


@frozen
class Count:
    """The number of times that an account did one kind of activity with one image in one hour or day.

    Attributes:
        start: of the hour or day.
        kind: of the activity.
        image: hash of the image's name; :data:`NO_IMAGE` for several that are counted together.
        first_at: time of the first one, to the second.
        last_at: time of the last one.
        times: how often.
        size: bytes of downloads.
        misses: how often the cache of linked registries did not have it.
        stale: how often the last known image of a tag of a linked registry was served.
        field: under which it is stored.
    """

    start: datetime
    kind: ActivityKind
    image: bytes
    first_at: datetime
    last_at: datetime
    times: int
    size: int
    misses: int
    stale: int
    field: bytes

    @classmethod
    def read(cls, resolution: Resolution, block: int, field: bytes, value: bytes) -> "Count":
        """Parse a field of a block."""
        start = (block * units_of(resolution) + field[0]) * resolution.seconds
        times, size, misses, stale = (*map(int, value[6:].split(b" ")), 0, 0, 0)[:4]
        return cls(
            start=instant(start),
            kind=_KINDS[chr(field[1])],
            image=field[2:],
            first_at=instant(start + int.from_bytes(value[:3], "big")),
            last_at=instant(start + int.from_bytes(value[3:6], "big")),
            times=times,
            size=size,
            misses=misses,
            stale=stale,
            field=field,
        )


def read_use(image: ImageName, value: bytes, *, is_part: bool) -> ImageUse:
    """Parse the value of an image in a hash of used images."""
    first, last, head = (_optional(int.from_bytes(value[at : at + 4], "big")) for at in (0, 4, 8))
    return ImageUse(image, first, last, head, int(value[12:]), is_part)


def joined_uses(one: bytes | None, other: bytes) -> bytes:
    """Return the values of an image in two eras together."""
    if one is None:
        return other
    first, last, head = ([int.from_bytes(value[at : at + 4], "big") for value in (one, other)] for at in (0, 4, 8))
    ends = (min(first) or max(first), max(last), max(head))
    return b"".join(at.to_bytes(4, "big") for at in ends) + b"%d" % (int(one[12:]) + int(other[12:]))


def units_of(resolution: Resolution) -> int:
    """Return how many hours or days one block has."""
    return DAY // HOUR if resolution is Resolution.HOUR else BLOCK_DAYS


def block_of(resolution: Resolution, at: datetime) -> int:
    """Return the number of the block that ``at`` lies in."""
    return seconds(at) // (resolution.seconds * units_of(resolution))


def seconds(at: datetime) -> int:
    """Return ``at`` as whole seconds since 1970."""
    return int(at.timestamp())


def instant(at: float) -> datetime:
    """Return seconds since 1970 as an aware instant."""
    return datetime.fromtimestamp(at, UTC)


def _optional(at: int) -> datetime | None:
    return instant(at) if at else None


def era_of(at: datetime) -> int:
    """Return the number of the era that ``at`` lies in."""
    return seconds(at) // (ERA_DAYS * DAY)


def eras(since: datetime, now: datetime) -> range:
    """Return the numbers of the eras with anything between two instants."""
    return range(era_of(since), era_of(now) + 1)


def image_hash(image: ImageName) -> str:
    """Return a hash of 64 bits of a name, in hexadecimal.

    One of 10^10 apps with 50,000 names each has a collision.
    """
    text = "\0".join((image.repository, image.tag or "", image.digest or ""))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def short_digest(digest: str | None) -> str | None:
    """Return a digest as it is stored: Redis does not pack hashes with values of more than 64 bytes."""
    return None if digest is None else digest.removeprefix(SHA256)


def long_digest(short: str | None) -> str | None:
    """Return the digest that is stored as ``short``; None for an empty text."""
    return (short if ":" in short else SHA256 + short) if short else None


def short_subject(subject: str) -> str:
    """Return a subject as it is stored: a letter and the id; for several licenses their ids, separated by commas."""
    kind, _, record_id = subject.partition(":")
    return _SHORT[kind] + record_id


def long_subject(short: str) -> str:
    """Return the subject that is stored as ``short``."""
    return f"{_LONG[short[0]]}:{short[1:]}"


def is_license(subject: str | None) -> bool:
    """Whether a subject is a license, or several."""
    return subject is not None and subject.startswith(LICENSE)
