"""Deleting where tags can be deleted, against a stand-in for distribution 3.x; the real 2.8: tests/registry."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authsvc.errors import Conflict
from authsvc.registries import tag_deletion
from authsvc.registries.access import RegistryAccess
from authsvc.registries.deletion import Deletion
from authsvc.registries.reader import RegistryReader
from authsvc.registries.repository_reader import RepositoryReader
from authsvc.registries.writer import RepositoryWriter
from authsvc.system_token import SystemTokens
from tests.support.builders import SERVICE, Root
from tests.support.deletions import Free, SteppedSession, Variant, delete
from tests.support.newer_registry import NewerRegistry
from tests.support.registry_rules import real_now

GOES, STAYS, NEW = Variant("goes"), Variant("stays"), Variant("new")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))


@pytest.fixture
def registry() -> NewerRegistry:
    """Return a registry with two tags of one manifest, and tags of another one on further pages."""
    made = NewerRegistry()
    made.put("1.0", GOES.manifest)
    made.put("latest", GOES.manifest)
    for tag in ("a", "b", "z"):
        made.put(tag, STAYS.manifest)
    return made


@asynccontextmanager
async def deleting(registry: NewerRegistry, folder: Path) -> AsyncIterator[tuple[Deletion, SteppedSession]]:
    """Yield what deletes from it, and its session."""
    tokens = SystemTokens(Root.make(real_now()).leaf(real_now()), SERVICE, lambda: "t1")
    async with registry.serving(folder / "r.sock") as url, SteppedSession(url) as session:
        access = RegistryAccess(tokens, real_now)
        writer = RepositoryWriter(session, access, registry.repository)
        reading = RepositoryReader(RegistryReader(session, access), writer)
        yield Deletion(reading, Free(), random.randbytes, registry.reports), session


def changed(registry: NewerRegistry) -> list[str]:
    """Return the requests that changed something."""
    return [asked for asked in registry.asked if asked.startswith(("PUT", "DELETE"))]


async def test_a_tag_is_deleted_as_a_tag(registry: NewerRegistry, folder: Path) -> None:
    """No placeholder is needed, and the siblings stay; the last tag goes with its manifest."""
    async with deleting(registry, folder) as (deletion, _):
        first = await delete(deletion, "1.0")
        kept = dict(registry.tags)
        last = await delete(deletion, "latest")

    assert first is not None
    assert (first.tags, first.manifest, first.sure) == (("1.0",), False, True)
    assert kept == {"latest": GOES.digest, **dict.fromkeys("abz", STAYS.digest)}
    assert last is not None
    assert (last.tags, last.manifest, last.sure) == (("latest",), True, True)
    assert (set(registry.tags), set(registry.manifests)) == ({"a", "b", "z"}, {STAYS.digest})
    assert changed(registry) == ["DELETE 1.0", f"DELETE {GOES.digest}"]


@pytest.mark.parametrize("tag", ["1.0", "latest", "z", "fresh"])
async def test_a_push_at_every_step(folder: Path, tag: str) -> None:
    """What others push meanwhile is there afterwards."""
    for step in range(100):
        registry = NewerRegistry()
        for name, image in (("1.0", GOES), ("latest", GOES), ("z", STAYS)):
            registry.put(name, image.manifest)
        async with deleting(registry, folder) as (deletion, session):
            session.before = at(step, lambda registry=registry: registry.put(tag, NEW.manifest))  # type: ignore[misc]
            plan = await deletion.plan("1.0", None, {})
            assert plan is not None
            if plan.digest == GOES.digest:
                try:
                    await deletion.carry_out(plan)
                except Conflict as refused:
                    assert refused.code == "image_changed"  # noqa: PT017
        if step >= len(session.sent):
            break
        assert registry.tags[tag] == NEW.digest, session.sent[step]
    else:
        pytest.fail("a deletion takes fewer requests")


def at(step: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Return what acts before one request."""
    done = False

    def before(number: int) -> None:
        nonlocal done
        if number == step and not done:
            done = True
            act()

    return before


async def test_a_registry_that_does_not_delete(registry: NewerRegistry, folder: Path) -> None:
    """It is refused with a sentence that says why, and nothing is changed."""
    registry.deletes = False
    before = dict(registry.tags)
    async with deleting(registry, folder) as (deletion, _):
        for tag, digest in (("1.0", None), (None, GOES.digest)):
            with pytest.raises(Conflict) as refused:
                await delete(deletion, tag, digest)
            assert refused.value.code == "registry_read_only"

    assert registry.tags == before
    assert not [asked for asked in registry.asked if asked.startswith("PUT")]
