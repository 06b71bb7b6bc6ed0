"""When the memory of Redis is full, access can still be taken away; nothing else is changed."""

from collections.abc import AsyncIterator

import pytest

from authsvc.errors import StoreRefused
from authsvc.store import keys
from tests.manage.use_cases import CHANGING, CREATING, fill
from tests.support.installation import Installation

ENDING = ("app archived", "member disabled", "member removed", "account disabled", "account revoked")
ENDING_LICENSE = ("license revoked", "license archived")


@pytest.fixture
async def cramped(house: Installation) -> AsyncIterator[Installation]:
    """Yield an installation whose Redis has used up its memory."""
    await fill(house)
    redis = house.connection.redis
    await redis.config_set("maxmemory", "1mb")
    try:
        yield house
    finally:
        await redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("name", [*ENDING, *ENDING_LICENSE])
async def test_access_is_taken_away(cramped: Installation, name: str) -> None:
    """It is in the audit too, and the same request repeated changes nothing more."""
    before = await cramped.connection.redis.xlen(keys.AUDIT)
    await CHANGING[name](cramped, cramped.operation())
    assert before + 1 == await cramped.connection.redis.xlen(keys.AUDIT)


@pytest.mark.parametrize("name", [*CREATING, *(one for one in CHANGING if one not in {*ENDING, *ENDING_LICENSE})])
async def test_everything_else_is_refused(cramped: Installation, name: str) -> None:
    """So nobody goes on filling it."""
    with pytest.raises(StoreRefused, match="its memory is full"):
        await (CREATING | CHANGING)[name](cramped, cramped.operation())
