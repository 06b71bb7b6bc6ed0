"""Counts of linked images say what the cache had to do with them, in whatever order the events arrive."""

import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.history import ActivityRow
from authsvc.activity.kinds import ActivityKind
from authsvc.spec.registry_event import CacheUse, RegistryEvent
from tests.support.activity import LICENSE, Recording, blob, digest, event, recording
from tests.support.activity_totals import all_rows, readers
from tests.support.builders import NOW

REPOSITORY = "proxy/acme/hub/org/image"
MISS, STALE = CacheUse.MISS, CacheUse.STALE


@pytest.fixture
async def store() -> AsyncIterator[Recording]:
    """Yield a store without activity."""
    async with recording() as made:
        yield made


async def recorded(store: Recording, events: Sequence[RegistryEvent], **wanted: Resolution) -> list[ActivityRow]:
    """Record events and return what is counted of the license."""
    await store.sink.record(events, NOW)
    rows, _ = readers(store)
    return await all_rows(rows, app="acme", team="acme-team", license_id=LICENSE.removeprefix("license:"), **wanted)


def linked(*uses: CacheUse | None) -> list[RegistryEvent]:
    """Return pulls, and misses, of a linked image by its tag."""
    return [event(repository=REPOSITORY, cache=use) for use in uses]


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_hits_and_misses(store: Recording, resolution: Resolution) -> None:
    """A miss is no pull: it says of a pull that the cache did not have it."""
    events = [
        *linked(None, None, None, MISS, STALE),
        *(blob(40, repository=REPOSITORY, cache=use) for use in (None, None, MISS)),
        *(event(method="HEAD", repository=REPOSITORY, cache=use) for use in (None, MISS)),
        *(event(), blob(7)),
    ]
    rows = await recorded(store, events, resolution=resolution)
    found = {
        (row.kind.value, row.image.repository if row.image else ""): (
            *(row.count, row.size),
            *(row.hits, row.misses, row.stale),
        )
        for row in rows
    }

    assert found == {
        ("pull", REPOSITORY): (4, None, 3, 1, 1),
        ("download", REPOSITORY): (0, 80, 1, 1, 0),
        ("head", REPOSITORY): (1, None, 0, 1, 0),
        ("pull", "acme/worker"): (1, None, None, None, None),
        ("download", "acme/worker"): (0, 7, None, None, None),
    }


@pytest.mark.parametrize("order", list(itertools.permutations((None, None, MISS))))
async def test_in_any_order(store: Recording, order: tuple[CacheUse | None, ...]) -> None:
    """Workers record on their own: a miss may be recorded before its pull, and is the same sent again."""
    events = linked(*order)
    for one in (*events, *events):
        await store.sink.record([one], NOW)
    (row,) = await recorded(store, ())

    assert (row.count, row.hits, row.misses) == (2, 1, 1)


async def test_a_miss_alone(store: Recording) -> None:
    """It changes no history and no total: somebody else's event is still to come, or is lost."""
    (row,) = await recorded(store, linked(MISS))
    _, accounts = readers(store)

    assert (row.count, row.hits, row.misses) == (0, 0, 1)
    (account,) = await accounts.accounts([("acme", LICENSE)], NOW)
    assert account is None or (account.pulls, account.last_pull) == (0, None)


async def test_a_platform_of_an_index(store: Recording) -> None:
    """It counts with its index, and so does that the cache did not have it."""
    index_type = "application/vnd.oci.image.index.v1+json"
    index = event(repository=REPOSITORY, media_type=index_type, parts=(digest(5),), cache=MISS)
    part = [event(repository=REPOSITORY, tag=None, digest=digest(5), cache=use) for use in (None, MISS)]
    (row,) = await recorded(store, [index, *part, event(repository=REPOSITORY)])

    assert (row.kind, row.count, row.misses) == (ActivityKind.PULL, 1, 1)
