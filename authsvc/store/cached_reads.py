"""Reads records through the cache, and answers reads of the token path from the cache alone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

from attrs import frozen

from authsvc.credentials.facts import C, CredentialFacts, NotCached
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.record_cache import RecordCache
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member
from authsvc.throttle import TATs
from authsvc.upstreams.link import UpstreamLink

KEY_OF: Mapping[type, Any] = {
    License: keys.license_,
    PersonalToken: keys.personal_token,
    ServiceAccount: keys.service_account,
}
"""Kinds of credentials that are cached. Refresh tokens and portal sessions end when they are idle, so each use also has
to read the time of the last one."""

T = TypeVar("T")


@frozen(eq=False, repr=False)
class RecordReads:
    """Reads records from Redis, and keeps them in the cache.

    Attributes:
        connection: to Redis.
        codec: decodes them.
        cache: of the records; None for no cache.
    """

    connection: Connection
    codec: Codec
    cache: RecordCache | None = None

    async def read(self, names: Sequence[str], kinds: Sequence[type]) -> list[Any]:
        """Return the records at ``names``, each of its kind, as of one instant; None for one that does not exist.

        Raises:
            StoreUnavailable: Redis does not answer, or a record cannot be read.
        """
        cache = self.cache
        if cache is None:
            raws = await self.connection.get_all(*names)
            return [self.codec.decode_optional(raw, kind) for raw, kind in zip(raws, kinds, strict=True)]
        reading = cache.begin(names)
        try:
            raws = await self.connection.get_all(*names)
            found = [
                None if raw is None else cache.decoded(name, raw) or self.codec.decode_once(raw, kind)
                for name, raw, kind in zip(names, raws, kinds, strict=True)
            ]
            cache.store(reading, raws, found)
        finally:
            cache.end(reading)
        return found


@frozen(eq=False, repr=False)
class CachedLinks:
    """Which registries are linked, from the cache or from Redis.

    Attributes:
        reads: from Redis.
        cache: of the records.
    """

    reads: RecordReads
    cache: RecordCache

    async def find(self, app: str, name: str) -> UpstreamLink | None:
        """Return the link of an app under this name.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        names = (keys.upstream(app, name),)
        found = self.cache.current(names) or await self.reads.read(names, (UpstreamLink,))
        return cast("UpstreamLink | None", found[0])


@frozen(eq=False, repr=False)
class CachedFacts:
    """Reads facts from the cache only. Every method raises NotCached unless all records are cached and current.

    No method waits, so several consecutive results are as of one instant.

    Attributes:
        cache: the records.
    """

    cache: RecordCache

    async def member_by_email(self, email: str, network: str) -> tuple[Member | None, TATs]:  # noqa: ARG002  asked of Redis
        """Raise NotCached: the counts of wrong passwords are only in Redis."""
        raise NotCached

    async def member_facts(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member, and the apps of the given slugs."""
        member, *apps = self._current([keys.member(member_id), *map(keys.app, slugs)])
        return cast("Member", member), _by_slug(apps)

    async def credential(self, kind: type[C], credential_id: str) -> C | None:
        """Return the credential."""
        if kind not in KEY_OF:
            raise NotCached
        return cast("C", self._current([KEY_OF[kind](credential_id)])[0])

    async def licenses(
        self, license_ids: Collection[str], slugs: Collection[str]
    ) -> tuple[Mapping[str, License], Mapping[str, App]]:
        """Return the licenses, by id, and the apps of the given slugs."""
        found = self._current([*map(keys.license_, license_ids), *map(keys.app, slugs)])
        licenses = cast("list[License]", found[: len(license_ids)])
        return {license_.id: license_ for license_ in licenses}, _by_slug(found[len(license_ids) :])

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return a credential with its member and the apps of the given slugs."""
        if kind not in KEY_OF:
            raise NotCached
        members: tuple[str, ...] = () if member_id is None else (keys.member(member_id),)
        found = self._current([KEY_OF[kind](credential_id), *members, *map(keys.app, slugs)])
        member = cast("Member", found[1]) if members else None
        return CredentialFacts(cast("C", found[0]), member, _by_slug(found[1 + len(members) :]))

    def current_license(self, license_id: str) -> tuple[License, App] | None:
        """Return the license and its app, or None unless both are cached and current."""
        found = self.cache.current_pair(keys.license_(license_id), lambda license_: keys.app(license_.app))
        return cast("tuple[License, App] | None", found)

    def recall(self, license_id: str) -> tuple[License, App] | None:
        """Return the license and its app as Redis had them within the last minute, or None."""
        license_ = cast("License | None", self.cache.recent(keys.license_(license_id)))
        app = None if license_ is None else cast("App | None", self.cache.recent(keys.app(license_.app)))
        return None if license_ is None or app is None else (license_, app)

    def _current(self, names: Sequence[str]) -> list[object]:
        found = self.cache.current(names)
        if found is None:
            raise NotCached
        return found


def _by_slug(apps: Sequence[object]) -> Mapping[str, App]:
    return {app.slug: app for app in cast("Sequence[App]", apps)}
