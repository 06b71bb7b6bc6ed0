"""What the token path reads. Two round trips at most: the credential, then everything as of one instant."""

from collections.abc import Collection, Mapping

from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.tenancy.records import App, License, Member

# The second key's name depends on the first one's value, which a Redis Cluster would forbid and one primary allows.
_MEMBER_BY_EMAIL = """
local id = redis.call('GET', KEYS[1])
return id and redis.call('GET', ARGV[1] .. id)
"""


class RedisStandings:
    """Reads facts about subjects."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        """Read through ``connection``."""
        self._connection = connection
        self._codec = codec
        self._member_by_email = connection.redis.register_script(_MEMBER_BY_EMAIL)

    async def member_by_email(self, email: str) -> Member | None:
        """Return the member with this canonical address.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        script = self._member_by_email(keys=[keys.member_email(email)], args=[keys.member("")])
        return self._codec.decode_optional(await self._connection.run(script), Member)

    async def member_standing(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member, and those apps of the given slugs that exist, as of one instant.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        member, *apps = await self._connection.get_all(keys.member(member_id), *(keys.app(slug) for slug in slugs))
        found = (self._codec.decode(raw, App) for raw in apps if raw is not None)
        return self._codec.decode_optional(member, Member), {app.slug: app for app in found}

    async def license(self, license_id: str) -> License | None:
        """Return the license.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return self._codec.decode_optional(await self._connection.get(keys.license_(license_id)), License)

    async def license_standing(self, license_id: str, slug: str) -> tuple[License | None, App | None]:
        """Return the license and the app it is for, as of one instant.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        license_, app = await self._connection.get_all(keys.license_(license_id), keys.app(slug))
        return self._codec.decode_optional(license_, License), self._codec.decode_optional(app, App)

    async def ping(self) -> None:
        """Return when Redis answers.

        Raises:
            StoreUnavailable: it does not.
        """
        await self._connection.run(self._connection.redis.ping())
