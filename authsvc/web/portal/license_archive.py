"""A zip of license files, made while it is sent."""

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime

from typing_extensions import override

from authsvc.tenancy.license_names import KEYS, file_name
from authsvc.tenancy.records import License

MEDIA_TYPE = "application/zip"

_PRIVATE = 0o600 << 16
"""Mode of a file, as a zip has it: a license file is a password."""


class _Parts(io.RawIOBase):
    """Collects what is written until it is taken; not seekable."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = bytes(self._written)
        self._written.clear()
        return taken


async def zipped(pages: AsyncIterator[list[tuple[License, str]]], keys: str, made_at: datetime) -> AsyncIterator[bytes]:
    """Yield a zip of license files, a page of them at a time.

    Args:
        pages: licenses with their files.
        keys: the file of the keys that verify them.
        made_at: the time of the files in the zip.
    """
    parts, time = _Parts(), made_at.timetuple()[:6]

    def add(name: str, text: str) -> None:
        member = zipfile.ZipInfo(name, time)
        member.external_attr = _PRIVATE
        archive.writestr(member, text.encode("ascii"), zipfile.ZIP_DEFLATED)

    with zipfile.ZipFile(parts, "w") as archive:
        add(KEYS, keys)
        async for page in pages:
            for license_, text in page:
                add(file_name(license_), text)
            yield parts.take()
    yield parts.take()
