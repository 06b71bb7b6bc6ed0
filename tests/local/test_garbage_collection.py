"""What is refused before any garbage is collected; tests/flows/test_gc.py has the rest."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authsvc.errors import Conflict, SetupRefused
from authsvc.listen_address import parse_listen
from authsvc.local import garbage_collection
from authsvc.local.garbage_collection import CollectionResult, collect
from authsvc.local.registry_locks import hold_alone, shared
from authsvc.public_url import parse_public_url
from authsvc.setup.init import ANY_EDGE, ANY_INSIDE, Site, configuration_of, init
from authsvc.setup.layout import Layout
from tests.support.stack import GOOD_PATH
from tests.support.waiting import until

SITE = Site(parse_listen("127.0.0.1:5000"), parse_public_url("http://localhost:5000"), ANY_EDGE, ANY_INSIDE)


@pytest.fixture
def layout(layout: Layout) -> Layout:
    """Return a rendered data directory; what was once pushed to it has been deleted."""
    init(layout, SITE, datetime.now(UTC))
    (layout.registry / "docker/registry/v2/repositories/app/worker/_manifests/revisions").mkdir(parents=True)
    (layout.registry / "docker/registry/v2/blobs/sha256").mkdir(parents=True)
    return layout


async def collected(layout: Layout, *, dry_run: bool = False) -> CollectionResult | None:
    """Collect, as the command does."""
    return await collect(layout, {"PATH": GOOD_PATH}, dry_run=dry_run, say=lambda _: None)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_empty_repository_has_no_garbage(layout: Layout, dry_run: bool) -> None:
    """The registry's program runs, and finds nothing; the locks are free again."""
    assert await collected(layout, dry_run=dry_run) == CollectionResult(0, 0)
    for path in (layout.collection_lock, layout.writing_lock):
        held = hold_alone(path)
        assert held is not None
        os.close(held)


@pytest.mark.parametrize("missing", ["blobs", "repositories"])
async def test_a_registry_without_an_image(layout: Layout, missing: str) -> None:
    """Nothing was ever pushed to its end: the registry's program would call it an error."""
    (layout.registry / "docker/registry/v2" / missing).rename(layout.root / "elsewhere")
    assert await collected(layout) is None


async def test_a_configuration_of_before(layout: Layout) -> None:
    """An older `up` rendered no read-only configuration, and would not look at the lock."""
    configuration_of(layout).read_only_registry.unlink()
    with pytest.raises(SetupRefused, match="start `authsvc up` again first"):
        await collected(layout)


async def test_a_second_collection_is_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds the lock alone for longer than a look does is another collection."""
    monkeypatch.setattr(garbage_collection, "_FREE_WITHIN", 0.1)
    held = hold_alone(layout.collection_lock)
    assert held is not None
    with pytest.raises(Conflict, match="another garbage collection is running"):
        await collected(layout)
    os.close(held)


async def test_a_registry_that_goes_on_writing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is collected when it does not stop in time; a later collection works."""
    monkeypatch.setattr(garbage_collection, "_READ_ONLY_WITHIN", 0.1)
    words = "the registry still writes after 0 seconds, so nothing was changed"
    with shared(layout.writing_lock), pytest.raises(Conflict, match=words):
        await collected(layout)
    assert await collected(layout) == CollectionResult(0, 0)


async def test_a_registry_of_an_older_authsvc(layout: Layout) -> None:
    """It holds no lock, so its command line counts; another program that has its process id by now is none."""
    file = layout.run / "registry.pid"
    command = (sys.executable, "-c", "input()", "serve", str(configuration_of(layout).registry))
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        # Popen returns before the kernel shows the new command line.
        until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes(), "the command line is there")
        file.write_text(f"{process.pid}\n")
        with pytest.raises(Conflict, match="was started by an older authsvc, so nothing was changed"):
            await collected(layout)
        process.kill()
    file.write_text(f"{os.getpid()}\n")
    assert await collected(layout) == CollectionResult(0, 0)


async def test_what_the_program_says_when_it_fails(layout: Layout) -> None:
    """The refusal contains the last line of its output."""
    configuration_of(layout).read_only_registry.write_text("version: 0.1\nstorage: {nowhere: {}}\n")
    with pytest.raises(Conflict, match=r"the registry could not collect garbage: .*nowhere"):
        await collected(layout)
