"""An installation on a real Redis of each process's own, emptied for every test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from authsvc.credentials import password, verifier
from authsvc.redaction import Secret
from authsvc.registries import tag_deletion
from authsvc.store.connection import Connection
from tests.manage.use_cases import fill
from tests.support.deletion_desk import DeletionDesk
from tests.support.deletions import Scene
from tests.support.installation import Installation, installed
from tests.support.real_registry import INSTALLED, RealRegistry
from tests.support.redis_server import RedisServer, patient, server_in_background
from tests.support.tag_reports import TagReports, reporting


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    """Return a server that the tests of a process share."""
    with server_in_background("--appendfsync", "no") as running:  # what is on disk is tests/store's question
        yield running


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Argon2id take microseconds: the same code at the least memory that it allows."""
    monkeypatch.setattr(password, "MEMORY_KIB", 8)
    monkeypatch.setattr(password, "PASSES", 1)
    unknown = password.hash_password(Secret("nobody has this one"), salt=bytes(16))
    monkeypatch.setattr(verifier, "UNKNOWN_ACCOUNT", unknown)


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[Connection]:
    """Yield a connection to an empty store."""
    opened = patient(server)
    try:
        await opened.redis.flushall()
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def house(connection: Connection) -> AsyncIterator[Installation]:
    """Yield an installation with one team and two apps."""
    async with installed(connection) as made:
        yield made


@pytest.fixture
async def filled(house: Installation) -> Installation:
    """Return an installation with a member, a service account and a license."""
    await fill(house)
    return house


@pytest.fixture(scope="session")
def reported() -> Iterator[tuple[RealRegistry, TagReports]]:
    """Return a running registry and what it reports, which the tests of a process share."""
    with reporting(INSTALLED) as running:
        yield running


@pytest.fixture
async def desk(
    house: Installation, reported: tuple[RealRegistry, TagReports], monkeypatch: pytest.MonkeyPatch
) -> DeletionDesk:
    """Return an installation, and an empty repository of its app; attempts of a deletion follow each other at once."""
    monkeypatch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))
    scene = Scene(*reported)
    scene.upload()
    return DeletionDesk(house, scene)
