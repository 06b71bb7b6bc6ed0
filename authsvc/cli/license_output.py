"""Writes license files and the keys that verify them, and prints the result of changes of licenses."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from authsvc import atomic_file
from authsvc.cli import present
from authsvc.cli.console import print_file, print_json, refuse, remark, say
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.license_folder import is_older_key_file
from authsvc.tenancy.dates import render_instant

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License

STDOUT = "-"

LICENSE_SUFFIX, KEY_SUFFIX = ".license.json", ".license-key.json"

key_option = click.option(
    "--key-output",
    type=FILE_NAME,
    metavar="FILE",
    help="Write the keys that verify the file to this path.  [default: NAME.license-key.json beside it]",
)


def license_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments that name one license: its id or reference, and ``--app`` to distinguish equal references."""
    command = click.option("--app", metavar="APP", help="Its app, when licenses of several apps have the reference.")(
        command
    )
    return click.argument("license_id", metavar="ID|REFERENCE")(command)


class LicenseOutput:
    """The destination of a license file, reserved first: no license is created whose file cannot be written."""

    def __init__(self, output: str | None) -> None:
        """Write to the file ``output``, to standard output for ``-``, or nowhere for None."""
        self._output = output
        self._written = False

    def __enter__(self) -> Self:
        """Reserve the file; end the process when it exists or cannot be written."""
        if self._output is not None and self._output != STDOUT:
            try:
                os.close(os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                refuse(f"{self._output} exists already; remove it or choose another name")
            except OSError as error:
                refuse(f"cannot write {self._output}: {error.strerror}")
        return self

    def write(self, text: str) -> None:
        """Write the license file ``text``."""
        if self._output == STDOUT:
            print_file(text)
        elif self._output is not None:
            try:
                atomic_file.replace(self._output, text.encode("ascii"))
            except OSError as error:
                refuse(
                    f"done, but cannot write {self._output} ({error.strerror}); get it with: authsvc license download"
                )
        self._written = True

    def __exit__(self, *_: object) -> None:
        """Remove a file that was reserved but not written."""
        if self._output is not None and self._output != STDOUT and not self._written:
            Path(self._output).unlink(missing_ok=True)


def write_key(key: str, key_output: str | None, output: str | None) -> str | None:
    """Write the vendor's public keys to the requested file, or beside the license file; the customer needs both.

    Returns:
        The file with the keys; None when there is none.
    """
    if key_output is None:
        if output in {None, STDOUT}:
            return None
        key_output = f"{str(output).removesuffix(LICENSE_SUFFIX)}{KEY_SUFFIX}"
    path = Path(key_output)
    try:
        if not path.exists() or is_older_key_file(path, key):
            atomic_file.write_output(path, key.encode("ascii"), mode=atomic_file.PUBLIC)
        else:
            refuse(
                f"the license is done, but {path} is not a key file of this installation and was left alone; choose "
                "another --key-output"
            )
    except OSError as error:
        refuse(f"the license is done, but cannot write {path}: {error.strerror}")
    return key_output


def written(output: str, key_file: str | None) -> str:
    """Return a text with the names of the files that were written."""
    return f"{output} and {key_file}" if key_file else output


def print_changed(
    changed: "License", app: "App", output: str | None, what: str, *, as_json: bool, key_file: str | None = None
) -> None:
    """Print the result of a change of a license and where its file is.

    Args:
        changed: the license, as it is now.
        app: its app.
        output: the path of its file, or None.
        what: the result in words.
        as_json: whether to print the license as JSON.
        key_file: the path of the keys, or None.
    """
    if as_json and output != STDOUT:
        print_json({**present.license_(changed, app, datetime.now(UTC)), "output": output})
    else:
        where = (
            "its file is on standard output"
            if output == STDOUT
            else f"wrote {written(output, key_file)}"
            if output
            else f"get its file with: authsvc license download {changed.id} --output FILE"
        )
        tell = remark if output == STDOUT else say
        tell(f"license {changed.id} of {changed.customer} {what}; {where}")
    if changed.revoked_at or changed.archived_at:
        state = changed.state(datetime.now(UTC))
        remark(f"it stays {state}; to restore access: authsvc license reinstate {changed.id}")


def say_if_archived(app: "App") -> None:
    """Say that an app is archived, if it is, and how to undo it."""
    if app.archived_at is not None:
        since = render_instant(app.archived_at)
        remark(f"the app {app.slug} is archived since {since}: authsvc app reinstate {app.slug}")


def say_if_app_is_named_twice(license_: "License") -> None:
    """Explain a pattern that begins with the app's slug: patterns are already relative to the app."""
    for pattern in license_.repositories or ():
        if pattern.startswith(f"{license_.app}/"):
            rest = pattern.removeprefix(f"{license_.app}/")
            remark(
                f"the pattern {pattern} covers {license_.app}/{pattern}, for patterns are within the app; if "
                f"that is not meant: authsvc license set {license_.id} --repository {rest}"
            )
