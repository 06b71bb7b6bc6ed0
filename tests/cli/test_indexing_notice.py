"""While older licenses are being indexed after an upgrade, lists say so in one line."""

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from authsvc.store import keys
from tests.support.command import call
from tests.support.redis_server import server_in_background
from tests.support.stack import short_folder

LISTS = (("license", "list"), ("license", "list", "--app", "acme"), ("customer", "list", "--team", "acme-team"))


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str | None]]:
    """Return what names an installation without workers, with a team and an app."""
    with short_folder() as folder, server_in_background() as server:
        assert call("init", "--data-dir", str(folder / "d")).code == 0
        made: dict[str, str | None] = {
            "AUTHSVC_REDIS_URL": server.url.reveal(),
            "AUTHSVC_SECRETS_DIR": str(folder / "d" / "secrets"),
        }
        assert call("team", "create", "acme-team", environ=made).code == 0
        assert call("app", "create", "acme", "--team", "acme-team", environ=made).code == 0
        yield made


async def note(url: str, **fields: int) -> None:
    """Write how far the indexes are."""
    async with Redis.from_url(url) as redis:
        await redis.delete(keys.MIGRATION)
        if fields:
            await redis.hset(keys.MIGRATION, mapping={name: str(number) for name, number in fields.items()})


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"settled": 0, "done": 410, "total": 1000}, "(41 %)"),
        ({"done": 1000, "total": 1000}, "(99 %)"),
        ({"settled": 1, "done": 1000, "total": 1000}, None),
        ({}, None),
    ],
)
def test_a_list_says_that_indexes_are_not_complete(
    environ: dict[str, str | None], command: tuple[str, ...], fields: dict[str, int], said: str | None
) -> None:
    """It is on standard error, once, with how much is done; a new installation and a settled one say nothing."""
    asyncio.run(note(str(environ["AUTHSVC_REDIS_URL"]), **fields))
    ran = call(*command, "--json", environ=environ)
    notices = [line for line in ran.err.splitlines() if "being indexed" in line]

    assert (0, "[]\n") == (ran.code, ran.out)
    assert ran.err.splitlines() == notices
    assert [] == notices if said is None else said in "".join(notices)
    assert len(notices) == (said is not None)
