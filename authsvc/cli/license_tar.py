"""A tar of license files, written as they are created: to a file, or to standard output for another machine."""

import io
import os
import sys
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from authsvc.cli.console import discard_output
from authsvc.errors import InputRefused
from authsvc.tenancy.license_names import KEYS, file_name
from authsvc.tenancy.records import License

STDOUT = "-"

PRIVATE, PUBLIC = 0o600, 0o644
"""Modes of a license file, which contains a secret, and of the keys that verify it."""


class LicenseTar:
    """Stores ``REFERENCE-ID.license.json`` for each license, 0600, including those that existed already."""

    def __init__(self, stream: BinaryIO, output: str, made_at: datetime) -> None:
        """Write to ``stream``.

        Args:
            stream: the bytes are written to it; it cannot be read or sought.
            output: names it in refusals.
            made_at: the time of the files in the tar.
        """
        self._stream = stream
        self._tar = tarfile.open(fileobj=stream, mode="w|")  # noqa: SIM115  close() ends it, and a failure does not
        self._output = "standard output" if output == STDOUT else output
        self._made_at = int(made_at.timestamp())

    @classmethod
    @contextmanager
    def open(cls, output: str, made_at: datetime) -> "Iterator[LicenseTar]":
        """Write to a new file, which is removed if it is not finished; to standard output for ``-``.

        Raises:
            InputRefused: it cannot be written, it exists already, or standard output is a terminal.
        """
        with _standard_output() if output == STDOUT else _new_file(output) as stream:
            target = cls(stream, output, made_at)
            yield target
            target.close()

    def obstacle(self, license_: License) -> str | None:
        """Return None: a tar has room for every file."""
        del license_
        return None

    async def put(self, license_: License, text: Callable[[], Awaitable[str]]) -> str:
        """Add the file of a license; return ``written``.

        Raises:
            InputRefused: it cannot be written.
        """
        self._add(file_name(license_), (await text()).encode("ascii"), PRIVATE)
        return "written"

    def put_keys(self, text: str) -> None:
        """Add the public keys that verify the files.

        Raises:
            InputRefused: they cannot be written.
        """
        self._add(KEYS, text.encode("ascii"), PUBLIC)

    def close(self) -> None:
        """Write the end of the tar.

        Raises:
            InputRefused: it cannot be written.
        """
        with self._writing():
            self._tar.close()
            self._stream.flush()

    def _add(self, name: str, content: bytes, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), mode, self._made_at
        with self._writing():
            self._tar.addfile(member, io.BytesIO(content))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unusable(
                f"cannot write {self._output}: {error.strerror}; import the file again when it can be"
            ) from error


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    if sys.stdout.isatty():
        raise _unusable("a tar is not for a terminal; write it to a file or into a pipe")
    try:
        yield sys.stdout.buffer
    except InputRefused:
        discard_output()
        raise


@contextmanager
def _new_file(output: str) -> Iterator[BinaryIO]:
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError as error:
        raise _unusable(f"{output} exists already; remove it or choose another name") from error
    except OSError as error:
        raise _unusable(f"cannot write {output}: {error.strerror}") from error
    # Without a buffer, so that nothing is left to be written when it is closed after a failure.
    with os.fdopen(file, "wb", buffering=0) as stream:
        try:
            yield stream
        except BaseException:
            Path(output).unlink(missing_ok=True)
            raise


def _unusable(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="file_unusable", field="file")
