"""Restores a backup into a stopped installation: checks and prepares everything first, then replaces all at once."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.audit.revocations import Revocations
from authsvc.backup_file import BackupDescription, unpack_backup
from authsvc.credentials.password import hash_password
from authsvc.errors import Conflict, InputRefused, SetupRefused
from authsvc.redaction import Secret
from authsvc.redis_url import is_sentinel_url
from authsvc.settings import Settings
from authsvc.setup.layout import Layout, locked
from authsvc.store.append_only import FOLDER, install, write_commands
from authsvc.store.rdb import SnapshotDamaged, SnapshotReader, StoredText
from authsvc.store.restoration import EVENT, Restoration

STAGING = ".restore"
"""Folder in that of Redis in which everything is prepared."""

MARGIN = timedelta(seconds=60)
"""Audit entries that are older by up to this time are also used, in case clocks differ."""

CONNECT = 2.0
"""Seconds for checking whether Redis runs."""

SHOWN = ("team", "app", "member", "license", "customer", "service-account", "personal-token", "upstream", "webhook")
"""Kinds of records whose number is reported."""


@frozen
class RestoreRequest:
    """The arguments of a restore.

    Attributes:
        backup: the file, at its beginning.
        audit: exported audit files; older ones first.
        without_audit: whether to restore without knowing which access ended since the backup.
        moved: whether the backup may be of an installation with another address.
        now: the current time.
    """

    backup: BinaryIO
    audit: Sequence[Path]
    without_audit: bool
    moved: bool
    now: datetime


@frozen
class Restored:
    """The result of a restore.

    Attributes:
        description: of the backup.
        records: number of records, by kind.
        taken_away: number of records that lost access that they had in the backup, by kind.
        audit_until: time of the newest entry that was used, or None.
        kept: folder with the previous files, or None when there were none.
    """

    description: BackupDescription
    records: Mapping[str, int]
    taken_away: Mapping[str, int]
    audit_until: datetime | None
    kept: Path | None


def restore(
    settings: Settings,
    data_dir: Path | None,
    request: RestoreRequest,
    confirm: Callable[[BackupDescription, Mapping[str, int]], None],
) -> Restored:
    """Replace the data of Redis, which must be stopped, by a backup.

    Args:
        settings: of the installation.
        data_dir: that of `authsvc up`, if it is one.
        request: the arguments.
        confirm: called when all is prepared, with the content of the backup; raises to change nothing.

    Raises:
        SetupRefused: it cannot be restored here; nothing was changed.
        InputRefused: the backup or an exported file cannot be used; nothing was changed.
        Conflict: Redis or authsvc runs; nothing was changed.
        OSError: a file cannot be written; Redis has its old data, or all of the new.
    """
    redis = _folder(settings)
    with ExitStack() as held:
        if data_dir is not None:
            held.enter_context(locked(Layout(data_dir.absolute())))
        _refuse_running(settings)
        staging = held.enter_context(_staging(redis))
        snapshot, commands = staging / "redis.rdb", staging / "commands.aof"
        with os.fdopen(os.open(snapshot, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            description = unpack_backup(request.backup, file)
        if not request.moved and description.public_url != settings.public_url.text:
            raise InputRefused(
                f"this is a backup of {description.public_url}, and this is {settings.public_url.text}; nothing was "
                "changed. If the installation has moved, say so with --moved",
                code="file_unusable",
                field="file",
            )
        revocations = _revocations(request, settings, description)
        entry = _entry(request, description, revocations)
        nobody = hash_password(Secret(secrets.token_urlsafe(32)), salt=secrets.token_bytes(16))
        restoration = Restoration(revocations, nobody, entry)
        write_commands(commands, restoration.commands(_stored(snapshot, restoration, settings)), _database(settings))
        records = {kind: restoration.counted[kind] for kind in SHOWN}
        confirm(description, records)
        _refuse_running(settings)
        kept = install(redis, snapshot, commands, f"before-restore-{request.now:%Y%m%dT%H%M%SZ}")
    taken = {
        kind.removeprefix("taken away: "): count
        for kind, count in restoration.counted.items()
        if kind.startswith("taken away: ")
    }
    return Restored(description, records, taken, revocations.newest, kept)


def _folder(settings: Settings) -> Path:
    if is_sentinel_url(settings.redis_url.reveal()):
        raise SetupRefused(
            "with Sentinel, two Redis have the data; go back to one of them first, and restore into that one"
        )
    if not settings.redis_disk:
        raise SetupRefused(
            "the folder of Redis cannot be seen from here (AUTHSVC_REDIS_DISK is not set); restore a Redis elsewhere "
            "with the tools of its provider"
        )
    used = [folder for folder in settings.redis_disk if (folder / FOLDER).exists()]
    if len(used) > 1:
        raise SetupRefused(f"{used[0]} and {used[1]} both have data of Redis; empty the one that is not used any more")
    folder = used[0] if used else settings.redis_disk[0]
    if not os.access(folder, os.W_OK):
        raise SetupRefused(f"{folder} cannot be written from here")
    return folder


def _refuse_running(settings: Settings) -> None:
    """Refuse while Redis runs: it would continue with the data in its memory."""
    url = urlsplit(settings.redis_url.reveal())
    family, address = (
        (socket.AF_UNIX, unquote(url.path))
        if url.scheme == "unix"
        else (socket.AF_INET, (url.hostname or "", url.port or 6379))
    )
    with suppress(OSError), socket.socket(family) as asked:
        asked.settimeout(CONNECT)
        asked.connect(address)
        raise Conflict("Redis is running; stop it first. Nothing was changed", code="server_running")


@contextmanager
def _staging(redis: Path) -> Iterator[Path]:
    folder = redis / STAGING
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier restore that was interrupted
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _database(settings: Settings) -> int:
    url = urlsplit(settings.redis_url.reveal())
    number = url.path.strip("/") if url.scheme != "unix" else ""
    return int(number) if number.isdigit() else 0


def _stored(snapshot: Path, restoration: Restoration, settings: Settings) -> Iterator[StoredText]:
    with snapshot.open("rb", buffering=1024 * 1024) as file:
        try:
            yield from SnapshotReader(file, restoration.wants, _database(settings)).read()
        except SnapshotDamaged as error:
            raise InputRefused(
                f"the snapshot in this backup cannot be read, and nothing was changed: {error}",
                code="file_unusable",
                field="file",
            ) from error


def _revocations(request: RestoreRequest, settings: Settings, description: BackupDescription) -> Revocations:
    revocations = Revocations(description.began_at - MARGIN)
    exported = sorted(settings.audit_export_dir.glob("audit-*.jsonl")) if settings.audit_export_dir else []
    for path in (*exported, *request.audit):
        _read_audit(path, revocations)
    newest = revocations.newest
    if not request.without_audit and (newest is None or newest < description.began_at):
        raise InputRefused(
            f"no entry of the audit is newer than the backup ({description.began_at:%Y-%m-%d %H:%M:%S} UTC), so what "
            "was revoked since would be valid again; nothing was changed. Name an exported audit with --audit FILE, or "
            "accept that with --without-audit",
            code="file_unusable",
            field="audit",
        )
    return revocations


def _read_audit(path: Path, revocations: Revocations) -> None:
    number = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007  named in the sentence
                if line.endswith(b"\n"):  # a line that is being written is incomplete
                    _take(json.loads(line), revocations)
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {error.strerror}", code="file_unusable", field="audit") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(
            f"line {number} of {path} is not an entry of the audit; nothing was changed",
            code="file_unusable",
            field="audit",
        ) from error


def _take(entry: dict[str, Any], revocations: Revocations) -> None:
    if entry["event"] != "audit.unreadable":
        revocations.read(entry)


def _entry(request: RestoreRequest, description: BackupDescription, revocations: Revocations) -> Entry:
    until = revocations.newest
    facts = {
        "backup_at": description.began_at.isoformat(),
        "sha256": description.sha256,
        "audit_until": until.isoformat() if until else None,
    }
    return Entry(secrets.token_hex(16), request.now, EVENT, "system:authsvc", facts)
