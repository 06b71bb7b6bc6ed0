"""Reads for the token path. Two round trips at most: the credential, then everything as of one instant."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from authsvc.credentials.facts import C, Credential, CredentialFacts
from authsvc.store import keys, passkey_keys
from authsvc.store.cached_reads import KEY_OF, RecordReads
from authsvc.store.codec import Codec, decode_instant
from authsvc.store.connection import Connection
from authsvc.store.record_cache import RecordCache
from authsvc.store.throttle import password_buckets, tats_of
from authsvc.tenancy.machine_records import RefreshToken
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.records import App, License, Member
from authsvc.throttle import TATs

# The second key's name depends on the first one's value, which a Redis Cluster would forbid and one primary allows.
# KEYS: the address, then what else is read at the same instant. ARGV: what the keys of members begin with.
_MEMBER_BY_EMAIL = """
local found = redis.call('MGET', unpack(KEYS))
if found[1] then found[1] = redis.call('GET', ARGV[1] .. found[1]) end
return found
"""

MAX_LAST_IDS = 4096
"""Most addresses of which it is cached which member they belong to, if any; the oldest are dropped first. There is one
limit for both cases: with two, the time that an address stays cached would reveal whether it has an account."""

_KEY_OF_UNCACHED: Mapping[type[Credential], Callable[[str], str]] = {
    Passkey: passkey_keys.passkey,
    PortalSession: keys.portal_session,
    RefreshToken: keys.refresh_token,
}
"""Kinds of credentials that end when they are idle, and those of the portal."""


class RedisCredentialFacts:
    """Reads facts about subjects. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection, codec: Codec, cache: RecordCache | None = None) -> None:
        """Read through ``connection``, and keep records in ``cache`` for the next time."""
        self._connection = connection
        self._codec = codec
        self._reads = RecordReads(connection, codec, cache)
        self._member_by_email = connection.redis.register_script(_MEMBER_BY_EMAIL)
        self._last_ids: OrderedDict[str, str | None] = OrderedDict()

    async def member_by_email(self, email: str, network: str) -> tuple[Member | None, TATs]:
        """Return the member with this canonical address, and what the throttle counts for it and ``network``.

        An address without an account takes the same commands as one with an account. A repeated wrong password is not
        hashed and not counted, so an attacker can measure the time any number of times.
        """
        buckets = password_buckets(email, network)
        if email in self._last_ids:
            # The member of the last time is a guess, which is verified as of the same instant: docker requests one
            # member many times in a row, and such a read can be batched with others, which a script cannot.
            last = self._last_ids[email]
            member_key = keys.NONE if last is None else keys.member(last)
            current, raw, *tats = await self._connection.get_all(keys.member_email(email), member_key, *buckets)
            if (None if current is None else current.decode("ascii")) == last:
                return self._codec.decode_optional(raw, Member), tats_of(tats)
        names = (keys.member_email(email), *buckets)
        raw, *tats = await self._connection.read(lambda: self._member_by_email(keys=names, args=[keys.member("")]))
        member = self._codec.decode_optional(raw, Member)
        self._remember(email, member)
        return member, tats_of(tats)

    async def member_facts(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member, and those apps of the given slugs that exist, as of one instant."""
        names = [keys.member(member_id), *map(keys.app, slugs)]
        member, *apps = await self._reads.read(names, [Member, *_apps(slugs)])
        return cast("Member | None", member), _by_slug(apps)

    async def credential(self, kind: type[C], credential_id: str) -> C | None:
        """Return the credential."""
        if kind in KEY_OF:
            return cast("C | None", (await self._reads.read([KEY_OF[kind](credential_id)], [kind]))[0])
        return self._codec.decode_optional(await self._connection.get(_KEY_OF_UNCACHED[kind](credential_id)), kind)

    async def licenses(
        self, license_ids: Collection[str], slugs: Collection[str]
    ) -> tuple[Mapping[str, License], Mapping[str, App]]:
        """Return those licenses that exist, by id, and those apps of the given slugs that exist, as of one instant."""
        names = [*map(keys.license_, license_ids), *map(keys.app, slugs)]
        found = await self._reads.read(names, [*(License for _ in license_ids), *_apps(slugs)])
        licenses = cast("list[License | None]", found[: len(license_ids)])
        return {one.id: one for one in licenses if one is not None}, _by_slug(found[len(license_ids) :])

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return a credential with the member behind it and those apps of the given slugs that exist."""
        member_key = keys.member(member_id) if member_id is not None else keys.NONE
        if kind in KEY_OF:
            names = [KEY_OF[kind](credential_id), member_key, *map(keys.app, slugs)]
            credential, member, *apps = await self._reads.read(names, [kind, Member, *_apps(slugs)])
            return CredentialFacts(cast("C | None", credential), cast("Member | None", member), _by_slug(apps))
        names = [_KEY_OF_UNCACHED[kind](credential_id), keys.used(credential_id), member_key, *map(keys.app, slugs)]
        raw, used_at, raw_member, *raw_apps = await self._connection.get_all(*names)
        return CredentialFacts(
            credential=self._codec.decode_optional(raw, kind),
            member=self._codec.decode_optional(raw_member, Member),
            apps=_by_slug([self._codec.decode_optional(one, App) for one in raw_apps]),
            used_at=None if used_at is None else decode_instant(used_at),
        )

    def _remember(self, email: str, member: Member | None) -> None:
        self._last_ids.pop(email, None)
        self._last_ids[email] = None if member is None else member.id
        while len(self._last_ids) > MAX_LAST_IDS:
            self._last_ids.popitem(last=False)


def _apps(slugs: Collection[str]) -> list[type]:
    return [App] * len(slugs)


def _by_slug(apps: Sequence[Any]) -> Mapping[str, App]:
    return {app.slug: app for app in cast("Sequence[App | None]", apps) if app is not None}
