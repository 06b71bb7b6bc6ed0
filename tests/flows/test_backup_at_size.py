"""A backup of 100,000 licenses while members and licenses get tokens, and what its restore gives back."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from authsvc.cli.console import find
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from tests.bench.bulk import fill_licenses
from tests.bench.lists import APP, TEAM
from tests.support.http_client import get_token
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, make_license, make_member, make_team

pytestmark = pytest.mark.system

LICENSES, CUSTOMERS = 100_000, 50_000


async def fill(stack: Stack) -> None:
    """Write licenses as a worker writes them."""
    settings, _ = find(stack.data_dir, {})
    connection = Connection(settings.redis_url, deadline=60)
    try:
        await fill_licenses(Records(connection, Codec()), LICENSES, CUSTOMERS)
    finally:
        await connection.close()


@contextmanager
def asking(stack: Stack, *accounts: Account) -> Iterator[list[int]]:
    """Ask for tokens all the time, each account in turn; yield the statuses of the answers."""
    statuses, done = list[int](), Event()

    def ask_on() -> None:
        while not done.is_set():
            for account in accounts:
                statuses.append(get_token(stack.port, account, f"repository:{APP}/worker:pull").status)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_on)
        try:
            yield statuses
        finally:
            done.set()
            asked.result()


def test_a_backup_of_many_licenses_pauses_nobody() -> None:
    """Nobody is refused meanwhile, also members, who get nothing while Redis pauses; the restore has every record."""
    with running_stack() as stack:
        make_team(stack, APP, slug=TEAM)
        asyncio.run(fill(stack))
        member, kept, revoked = make_member(stack, TEAM, "viewer"), make_license(stack, APP), make_license(stack, APP)
        file, audit = stack.folder / "backup.tar", stack.folder / "audit.jsonl"
        with asking(stack, member, kept.account) as statuses:
            stack.authsvc("backup", str(file))
            later = make_license(stack, APP)
        assert len(statuses) > 10
        assert set(statuses) == {200}
        stack.authsvc("license", "revoke", revoked.id)
        stack.authsvc("audit", "export", str(audit))
        assert stack.stop() == 0

        restored = stack.json("restore", str(file), "--audit", str(audit), "--yes")
        assert restored["records"]["license"] == LICENSES + 2
        stack.start()

        def status(account: Account) -> int:
            return get_token(stack.port, account, f"repository:{APP}/worker:pull").status

        assert [status(one) for one in (member, kept.account, revoked.account, later.account)] == [200, 200, 401, 401]
        listed = stack.json("license", "list", "--app", APP, "--limit", "300")
        assert len({one["id"] for one in listed}) == 300
        assert stack.json("license", "show", listed[-1]["id"])["app"] == APP
