"""Indexes brought up to date within a test."""

from random import Random

from authsvc.store.migration import Migration
from authsvc.store.records import Records
from tests.support.builders import NOW


async def yes() -> bool:
    """No older authsvc writes."""
    return True


async def migrate(records: Records, random: Random | None = None) -> int:
    """Make one whole pass, without rests; return how many steps it had."""
    migration = Migration(records, (random or Random(11)).randbytes)
    return len([seconds async for seconds in migration.run(settles=yes, clock=lambda: NOW)])
