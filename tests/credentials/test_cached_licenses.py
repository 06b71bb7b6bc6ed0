"""A license from the cache: what is proven without the store, and that the cache alone refuses nobody."""

from datetime import timedelta

import pytest
from attrs import define, evolve, field

from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.machine_secret import LICENSE_KIND, MachineSecret
from authsvc.credentials.proof import MachineProof
from authsvc.credentials.subject import LicenseSubject, Subject
from authsvc.errors import WrongSecret
from authsvc.store import keys
from authsvc.store.cached_reads import CachedFacts
from authsvc.store.record_cache import RecordCache
from authsvc.tenancy.records import App, License, TokenDigest
from tests.support.builders import LICENSE_ID, NOW, license_token, make_app, make_license
from tests.support.desk import HOME, Desk, opened

MINE, APP = make_license(), make_app()
RIGHT = MachineProof(license_token())
FORGED = MachineProof(MachineSecret.build(LICENSE_KIND, LICENSE_ID, bytes(32)))


@define
class CachedDesk:
    """The desk's store behind an authenticator with a cache.

    Attributes:
        desk: the store, without a cache.
        cache: of the records.
        used: the credentials that were told to have signed in.
    """

    desk: Desk
    cache: RecordCache = field(factory=lambda: RecordCache(10, lambda: 1000.0))
    used: list[str] = field(factory=list)

    def keep(self, *records: License | App) -> None:
        """Cache ``records`` as they are in the store."""
        self.cache.begin_period(1000.0)
        names = [keys.license_(one.id) if isinstance(one, License) else keys.app(one.slug) for one in records]
        reading = self.cache.begin(names)
        self.cache.store(reading, [b"{}"] * len(names), records)
        self.cache.end(reading)

    async def __call__(self, proof: MachineProof, *slugs: str) -> Subject:
        """Ask who it is."""
        authenticator = Authenticator(
            self.desk.facts_reader,
            self.desk.authenticator._passwords,
            self.desk.facts_reader.throttle,
            on_use=lambda credential_id, _: self.used.append(credential_id),
            cached=CachedFacts(self.cache),
        )
        return await authenticator.authenticate(proof, slugs, HOME, NOW)


@pytest.mark.parametrize("slugs", [("acme",), ("api",), ()], ids=["its app", "another app", "no app"])
async def test_a_cached_license_asks_nobody(slugs: tuple[str, ...]) -> None:
    """Whatever is requested, the license comes with its own app, and its use is noted."""
    async with opened() as desk:
        cached = CachedDesk(desk)
        cached.keep(MINE, APP)

        assert LicenseSubject(MINE, APP) == await cached(RIGHT, *slugs)
        assert ([], [LICENSE_ID]) == (desk.facts_reader.calls, cached.used)


@pytest.mark.parametrize("kept", [(), (MINE,), (APP,)], ids=["nothing", "no app", "no license"])
async def test_what_is_missing_is_asked(kept: tuple[License | App, ...]) -> None:
    """Without either record the store answers."""
    async with opened() as desk:
        cached = CachedDesk(desk)
        cached.keep(*kept)

        assert LicenseSubject(MINE, APP) == await cached(RIGHT, "acme")
        assert (["second"], [LICENSE_ID]) == (desk.facts_reader.calls, cached.used)


async def test_a_wrong_secret_is_refused_by_the_store() -> None:
    """A secret that was rotated a moment ago opens the license of the store, and a forged one opens neither."""
    rotated = evolve(MINE, tokens=(TokenDigest(9, "0" * 64),))
    async with opened() as desk:
        cached = CachedDesk(desk)
        cached.keep(rotated, APP)

        assert LicenseSubject(MINE, APP) == await cached(RIGHT, "acme")
        with pytest.raises(WrongSecret):
            await cached(FORGED, "acme")
        assert (["second"] * 2, [LICENSE_ID]) == (desk.facts_reader.calls, cached.used)


async def test_a_generation_that_ended_is_not_opened() -> None:
    """The cache's digest counts only until its end; after that the store is asked, which may know better."""
    over = evolve(MINE, tokens=tuple(evolve(token, ends_at=NOW - timedelta(seconds=1)) for token in MINE.tokens))
    async with opened() as desk:
        cached = CachedDesk(desk)
        cached.keep(over, APP)
        await cached(RIGHT, "acme")

        assert ["second"] == desk.facts_reader.calls


async def test_a_cache_that_may_be_stale_is_not_used() -> None:
    """When the connection that reports changes is lost, every request asks the store."""
    async with opened() as desk:
        cached = CachedDesk(desk)
        cached.keep(MINE, APP)
        cached.cache.begin_period(1000.0)
        await cached(RIGHT, "acme")

        assert ["second"] == desk.facts_reader.calls
