"""Records as an authsvc without ordered indexes wrote them: their keys and the lists that it kept, and nothing more."""

from collections.abc import Iterable

from attrs import evolve

from authsvc.store import keys
from authsvc.store.records import Records
from authsvc.tenancy.records import License


async def write_old_licenses(records: Records, licenses: Iterable[License]) -> None:
    """Write licenses without entries and without customers."""
    redis = records.connection.redis
    pipe = redis.pipeline(transaction=False)
    for license_ in licenses:
        old = evolve(license_, customer_id=None)
        _ = pipe.set(keys.license_(old.id), records.codec.encode(old))
        _ = pipe.zadd(keys.app_licenses(old.app), {old.id: old.issued_at.timestamp()})
    await pipe.execute()


async def forget_indexes(records: Records) -> None:
    """Make the store what an older authsvc would have left: without entries, customers and migration."""
    redis = records.connection.redis
    for pattern in ("index:*", "leaf:*", "leaves", "customer:*", "migration:*"):
        names = [name async for name in redis.scan_iter(f"{keys.PREFIX}{pattern}")]
        if names:
            await redis.delete(*names)
    async for name in redis.scan_iter(keys.license_("*")):
        raw = await records.connection.get(name.decode())
        assert raw is not None
        old = evolve(records.codec.decode(raw, License), customer_id=None)
        await redis.set(name, records.codec.encode(old))
