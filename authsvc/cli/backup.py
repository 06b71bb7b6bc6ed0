"""``authsvc backup`` and ``authsvc restore``."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click

from authsvc.cli.confirm import yes_option
from authsvc.cli.console import find, local_options, print_json, refuse, remark, say
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.hints import explained
from authsvc.counts import counted
from authsvc.errors import AuthsvcError, SetupRefused, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authsvc.backup_file import BackupDescription
    from authsvc.settings import Settings
    from authsvc.setup.restore import Restored

T = TypeVar("T")

STANDARD = "-"
"""Stands for standard output, or standard input."""

LEFT_OUT = "keys, other secrets and images are not in it: docs/deploy.md says how to copy them"


@click.command("backup")
@click.argument("file", type=FILE_NAME, metavar="FILE")
@local_options
def backup_command(file: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Write the contents of Redis to FILE while it serves; "-" is standard output. Keys and images are not included."""
    import asyncio

    path = file if file == STANDARD else os.path.realpath(file)
    size = _refusals(lambda: asyncio.run(_backup(find(data_dir, os.environ)[0], path)))
    if file == STANDARD:
        remark(LEFT_OUT)
    elif as_json:
        print_json({"file": file, "bytes": size})
    else:
        say(f"{file}: {counted(size, 'byte')}; {LEFT_OUT}")


async def _backup(settings: "Settings", file: str) -> int:
    import asyncio

    from authsvc import atomic_file
    from authsvc.wiring.backup import backup

    size = 0

    def counted(parts: "Iterator[bytes]") -> "Iterator[bytes]":
        nonlocal size
        for part in parts:
            size += len(part)
            yield part

    if file == STANDARD and sys.stdout.isatty():
        refuse("a backup is not shown on a terminal; name a file, or send it to one with >", code=2)
    async with backup(settings) as parts:
        if file == STANDARD:
            for part in counted(parts):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        else:
            await asyncio.to_thread(atomic_file.replace, file, counted(parts))
    return size


@click.command("restore")
@click.argument("file", type=FILE_NAME, metavar="FILE")
@click.option(
    "--audit",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An exported audit; what was revoked or removed since the backup according to it is revoked or removed again.",
)
@click.option("--without-audit", is_flag=True, help="Accept that what was revoked since the backup is valid again.")
@click.option("--moved", is_flag=True, help="The backup is of this installation under another public URL.")
@click.option("--check", is_flag=True, help="Check the files, and change nothing.")
@yes_option
@local_options
def restore_command(
    file: str,
    audit: tuple[Path, ...],
    data_dir: Path | None,
    *,
    without_audit: bool,
    moved: bool,
    check: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Replace the contents of Redis by the backup in FILE while the installation is stopped; "-" is standard input.

    Everyone has to sign in again, and what was revoked since the backup according to the audit is revoked again.
    """
    from authsvc.setup.restore import RestoreRequest, restore
    from authsvc.wiring import clock

    def confirm(description: "BackupDescription", records: Mapping[str, int]) -> None:
        if check:
            say(f"{file}: {_described(description, records)}; it can be restored, and nothing was changed")
            sys.exit(0)
        sentence = (
            f"this replaces everything in Redis with {_described(description, records)}; "
            "access given since then is lost, and every sign-in ends"
        )
        if yes:
            return
        if file == STANDARD or not sys.stdin.isatty():
            refuse(f"{sentence}; nothing was changed, repeat it with --yes if that is meant")
        remark(sentence)
        if not click.confirm("Do it?", default=False, err=True):
            refuse("nothing was changed")

    def restored() -> "Restored":
        settings, folder = find(data_dir, os.environ)
        with _opened(file) as backup:
            return restore(settings, folder, RestoreRequest(backup, audit, without_audit, moved, clock()), confirm)

    done = _refusals(restored)
    if as_json:
        print_json(
            {
                "backup_at": done.description.began_at.isoformat(),
                "records": dict(done.records),
                "taken_away": dict(done.taken_away),
                "audit_until": done.audit_until.isoformat() if done.audit_until else None,
                "kept": str(done.kept) if done.kept else None,
            }
        )
        return
    say(f"restored {_described(done.description, done.records)}")
    taken = ", ".join(f"{kind} {count}" for kind, count in sorted(done.taken_away.items())) or "nothing"
    say(f"taken away again, as the audit says: {taken}")
    if done.kept is not None:
        say(f"the previous data is in {done.kept}; remove it when you no longer need it")


def _described(description: "BackupDescription", records: Mapping[str, int]) -> str:
    counted = ", ".join(f"{kind} {count}" for kind, count in records.items() if count)
    return f"the backup of {description.began_at:%Y-%m-%d %H:%M:%S} UTC ({counted or 'empty'})"


def _opened(file: str) -> BinaryIO:
    if file == STANDARD:
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        refuse(f"cannot read {file}: {error.strerror}")


def _refusals(act: Callable[[], T]) -> T:
    """Return what ``act`` returns; end the process with one sentence when it is refused."""
    try:
        return act()
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except StoreRefused as error:
        refuse(f"{error} (Redis replied: {error.detail})")
    except StoreUnavailable as error:
        refuse(f"{error}: {error.detail}" if error.detail else str(error))
    except AuthsvcError as error:
        refuse(explained(error))
    except OSError as error:
        refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
