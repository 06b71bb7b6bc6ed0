"""Collects the garbage of the registry of ``authsvc up``: blobs that no image has any more.

The registry's own program does the work, while no registry writes: a push in between could lose layers
(:mod:`authsvc.local.registry_locks`). It inherits the locks and ends with this process, so it never collects without
them.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from attrs import frozen

from authsvc.errors import Conflict, SetupRefused
from authsvc.local import programs
from authsvc.local.programs import find_binaries
from authsvc.local.registry_locks import hold_alone
from authsvc.printable import printable
from authsvc.processes import parent_death
from authsvc.processes.process import Program
from authsvc.setup.init import configuration_of
from authsvc.setup.layout import Layout

_READ_ONLY_WITHIN = 60.0
"""Seconds in which the registry must be read-only; it may take ten of them to finish requests."""

_FREE_WITHIN = 2.0
"""Seconds in which `authsvc up` has ended its look at the lock; a lock that is held for longer is a collection's."""

_STEP = 0.05
"""Seconds between two tries to get a lock."""

_LONGEST_LINE = 1024 * 1024

_ELIGIBLE = re.compile(rb"blob eligible for deletion: ([a-z0-9]+):([0-9a-f]{32,128})\s*", re.ASCII)
"""A line of the registry's program, 2.8 and 3.x alike."""


@frozen
class CollectionResult:
    """What a garbage collection has freed, or would free.

    Attributes:
        blobs: how many.
        size: of all of them, in bytes.
    """

    blobs: int
    size: int


async def collect(
    layout: Layout, environ: Mapping[str, str], *, dry_run: bool, say: Callable[[str], None]
) -> CollectionResult | None:
    """Delete the blobs that no image uses any more, and return how much that freed; None without images.

    Args:
        layout: a data directory, whether ``authsvc up`` is running on it or not.
        environ: the environment, for PATH.
        dry_run: return what would be freed, and change nothing; the registry goes on writing meanwhile.
        say: takes one line for a person.

    Raises:
        SetupRefused: a program or its configuration is missing.
        Conflict: another garbage collection is running, a registry writes and does not stop, or the registry's
            program fails.
    """
    program = programs.registry(layout, find_binaries(environ.get("PATH")), environ, read_only=True)
    if not configuration_of(layout).read_only_registry.is_file():
        raise SetupRefused(
            f"{layout.root} was last started by an authsvc that cannot collect garbage; start `authsvc up` again first"
        )
    # Without one of them the registry's program fails.
    if not all((_storage(layout) / name).is_dir() for name in ("blobs", "repositories")):
        return None
    if dry_run:
        eligible = list[int]()
        await _run(program, ("--dry-run",), lambda line: eligible.extend(_sizes(layout, line)))
        return CollectionResult(len(eligible), sum(eligible))
    with ExitStack() as held:
        locks = await _hold_locks(layout, held, say)
        before = _stored(layout)
        await _run(program, (), lambda _: None, locks)
        after = _stored(layout)
    return CollectionResult(before.blobs - after.blobs, before.size - after.size)


async def _hold_locks(layout: Layout, held: ExitStack, say: Callable[[str], None]) -> tuple[int, int]:
    """Wait until no registry writes, and return the open files that keep it so until ``held`` closes them."""
    asking = await _hold_within(layout.collection_lock, _FREE_WITHIN)
    if asking is None:
        raise Conflict(
            f"another garbage collection is running on {layout.root}; wait for its end",
            code="garbage_collection_running",
        )
    held.callback(os.close, asking)
    alone = hold_alone(layout.writing_lock)
    if alone is None:
        say("waiting until the registry is read-only")
        alone = await _hold_within(layout.writing_lock, _READ_ONLY_WITHIN)
    if alone is None:
        raise Conflict(
            f"the registry still writes after {_READ_ONLY_WITHIN:.0f} seconds, so nothing was changed; see what "
            f"`authsvc up` on {layout.root} says, then try again",
            code="garbage_collection_failed",
        )
    held.callback(os.close, alone)
    if _writes_without_lock(layout):
        raise Conflict(
            f"the registry on {layout.root} was started by an older authsvc, so nothing was changed; stop `authsvc up` "
            "and start it again, then try again",
            code="garbage_collection_failed",
        )
    return asking, alone


async def _hold_within(path: Path, seconds: float) -> int | None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while (descriptor := hold_alone(path)) is None and clock() < deadline:  # noqa: ASYNC110  no event announces it
        await asyncio.sleep(_STEP)
    return descriptor


def _writes_without_lock(layout: Layout) -> bool:
    """Return whether a registry with the configuration that writes is running: that of an older ``authsvc up``."""
    try:
        pid = int((layout.run / "registry.pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return os.fsencode(configuration_of(layout).registry) in command.split(b"\0")


async def _run(
    program: Program, options: Collection[str], on_line: Callable[[bytes], None], inherited: Collection[int] = ()
) -> None:
    """Run the registry's garbage collection to its end and hand over what it prints, line by line.

    Raises:
        Conflict: it fails.
    """
    binary, *_, configuration = program.argv
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", parent_death.__file__, str(os.getpid())),
        *(binary, "garbage-collect", *options, configuration),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE,
        cwd=program.folder,
        env=dict(program.environment),
        pass_fds=tuple(inherited),
        umask=0o077,
    )
    assert process.stdout is not None  # noqa: S101  it is a pipe
    last = b""
    try:
        async for line in process.stdout:
            on_line(line)
            last = line.strip() or last
        code = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code != 0:
        words = printable(last.decode("utf-8", "replace"))
        raise Conflict(
            f"the registry could not collect garbage: {words or f'exit code {code}'}", code="garbage_collection_failed"
        )


def _storage(layout: Layout) -> Path:
    return layout.registry / "docker" / "registry" / "v2"


def _stored(layout: Layout) -> CollectionResult:
    """Return how many blobs the registry has on the disk, and their size."""
    blobs = size = 0
    for path in (_storage(layout) / "blobs").glob("*/*/*/data"):
        blobs += 1
        size += path.stat().st_size
    return CollectionResult(blobs, size)


def _sizes(layout: Layout, line: bytes) -> list[int]:
    """Return the size of the blob that a line says would go, if it does."""
    found = _ELIGIBLE.fullmatch(line)
    if found is None:
        return []
    algorithm, digest = (part.decode("ascii") for part in found.groups())
    try:
        return [(_storage(layout) / "blobs" / algorithm / digest[:2] / digest / "data").stat().st_size]
    except FileNotFoundError:  # it went meanwhile
        return []
