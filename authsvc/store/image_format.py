"""The format of the index of images in Redis: short digests, entries of ordered indexes, and stored images.

A digest of SHA-256 is 43 characters here instead of 71: with its tag it fits into an entry of an ordered index.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime

from authsvc.errors import StoreUnavailable
from authsvc.images.summary import Blob, BlobList, ImageSummary
from authsvc.store import keys
from authsvc.store.codec import Codec, decode_instant
from authsvc.store.ordered_index import OrderedIndexes

SEPARATOR = "\0"

_SHA256 = "sha256:"
_SHORT = 43
_VERSION = 1


def short(digest: str) -> str:
    """Return a digest in few characters; one of another algorithm than SHA-256 as it is."""
    if not digest.startswith(_SHA256):
        return digest
    return base64.urlsafe_b64encode(bytes.fromhex(digest.removeprefix(_SHA256))).decode().rstrip("=")


def long(text: str) -> str:
    """Return the digest that :func:`short` shortened."""
    return text if len(text) != _SHORT else f"{_SHA256}{base64.urlsafe_b64decode(f'{text}=').hex()}"


def tag_entry(tag: str, digest: str) -> str:
    """Return the entry of a tag in the index of tags."""
    return f"{tag}{SEPARATOR}{short(digest)}"


def read_tag_entry(entry: str) -> tuple[str, str]:
    """Return tag and digest of an entry."""
    tag, _, digest = entry.partition(SEPARATOR)
    return tag, long(digest)


async def read_tags_of(indexes: OrderedIndexes, repository: str, digest: str, after: str, limit: int) -> list[str]:
    """Return the first tags of a digest behind the tag ``after``, at most ``limit``.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    index, prefix = keys.index("image-digests", repository), f"{short(digest)}{SEPARATOR}"
    entries = await indexes.entries(index, after=f"{prefix}{after}", before=f"{prefix}\x7f".encode(), limit=limit)
    return [entry.removeprefix(prefix) for entry in entries]


def repository_entry(name: str) -> str:
    """Return the entry of a repository in the index of an app: no entry may begin another."""
    return f"{name}{SEPARATOR}"


def encode_blobs(lists: Sequence[BlobList]) -> bytes:
    """Encode an image's blobs for Redis."""
    rows = [
        [short(one.digest), *(part for blob in one.blobs for part in (short(blob.digest), blob.size))] for one in lists
    ]
    return json.dumps({"v": _VERSION, "lists": rows}, separators=(",", ":")).encode()


def decode_blobs(raw: bytes | None) -> tuple[BlobList, ...] | None:
    """Return the blobs; None when they are not known: they are missing, damaged, or from a newer authsvc."""
    try:
        record = json.loads(raw or b"{}")
        if record["v"] != _VERSION:
            return None
        return tuple(_blob_list(row) for row in record["lists"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


def _blob_list(row: Sequence[str | int]) -> BlobList:
    digest, *parts = row
    config, *layers = (Blob(long(str(name)), int(size)) for name, size in zip(parts[::2], parts[1::2], strict=True))
    return BlobList(long(str(digest)), config, tuple(layers))


def decode_summary(codec: Codec, raw: bytes | None) -> ImageSummary | None:
    """Return a summary; None when it is not known, as in :func:`decode_blobs`."""
    try:
        return codec.decode_optional(raw, ImageSummary)
    except StoreUnavailable:
        return None


def optional_instant(raw: bytes | None) -> datetime | None:
    """Return the instant of a field, or None.

    Raises:
        StoreUnavailable: it is not an instant.
    """
    return decode_instant(raw) if raw else None
