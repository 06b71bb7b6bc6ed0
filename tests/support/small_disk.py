"""A small disk of a test's own: a tmpfs, which needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.stack import short_folder
from tests.support.waiting import PATIENCE

BLOCK = b"\0" * 65536


@frozen
class SmallDisk:
    """A file system that can be filled."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes that may still be written."""
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Write until only ``leave`` bytes are free."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            while self.free > leave:
                try:
                    file.write(BLOCK[: min(len(BLOCK), self.free - leave)])
                except OSError:
                    return

    def clear(self) -> None:
        """Take away what was filled in."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    """Yield a disk of that size; it goes with everything on it."""
    with short_folder() as parent:
        folder = parent / "d"
        folder.mkdir()
        mount = ("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(folder))
        subprocess.run(mount, check=True, timeout=PATIENCE)
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(("umount", "--lazy", str(folder)), check=True, timeout=PATIENCE)
