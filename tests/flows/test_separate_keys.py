"""A server and a command line whose keys are in another process, as in compose: nothing of them is in reach."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import frozen

from authsvc.keys.file_names import SERVICE_KEYS
from authsvc.keys.secrets_dir import create_missing
from authsvc.keys.service_keys import install_service_key, present_keys, remove_service_keys
from tests.support.http_client import Reply, ask, basic
from tests.support.key_service import real_key_service
from tests.support.redis_server import RedisServer
from tests.support.serve_process import serving
from tests.support.stack import GOOD_PATH, PATIENT, Ran, run, short_folder
from tests.support.tenants import Account
from tests.support.waiting import PATIENCE, becomes


@frozen
class Installation:
    """A running server without service keys.

    Attributes:
        folder: holds everything.
        environ: of the server and of commands.
        edge: port of the listener for nginx.
        inside: port of the listener for operators.
        server: the process.
    """

    folder: Path
    environ: dict[str, str]
    edge: int
    inside: int
    server: asyncio.subprocess.Process

    async def authsvc(self, *arguments: str, check: bool = True, admin: Path | None = None) -> Ran:
        """Run a command in the server's place."""
        command = (sys.executable, "-m", "authsvc", *arguments)
        given = {**self.environ, **({"AUTHSVC_KEY_ADMIN_SOCKET": str(admin)} if admin else {})}
        return await asyncio.to_thread(lambda: run(*command, environ=given, cwd=self.folder, check=check))

    async def ask(self, port: int, path: str, account: Account | None = None) -> Reply:
        """Send one request."""
        headers = basic(account) if account else {}
        return await asyncio.to_thread(lambda: ask(port, "GET", path, headers=headers))

    async def published(self) -> list[str]:
        """Return the names of the license keys that the server publishes."""
        reply = await self.ask(self.edge, "/auth/license-keys.json")
        return [key["kid"] for key in json.loads(reply.body)["keys"]] if reply.status == 200 else []

    async def reload(self) -> None:
        """Replace the worker, and wait until the old one is gone."""
        log, told = self.folder / "serve.log", '"event":"roll.done"'
        before = log.read_text().count(told)
        self.server.send_signal(signal.SIGHUP)
        await becomes(lambda: log.read_text().count(told) > before, "the worker is replaced")


@asynccontextmanager
async def installation(folder: Path, socket: Path) -> AsyncIterator[Installation]:
    """Run Redis and a server that finds its keys at ``socket``."""
    redis = RedisServer(folder)
    await redis.start()
    environ = {
        "PATH": GOOD_PATH,
        "AUTHSVC_REDIS_URL": redis.url.reveal(),
        "AUTHSVC_REDIS_DEADLINE": PATIENT,
        "AUTHSVC_SECRETS_DIR": str(folder / "secrets"),
        "AUTHSVC_KEYS_DIR": str(folder / "not-here"),
        "AUTHSVC_KEY_SOCKET": str(socket),
    }
    try:
        async with serving(environ, folder / "serve.log") as served:
            yield Installation(folder, environ, served.edge, served.inside, served.process)
    finally:
        await redis.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a secrets directory, and another one for the keys of the key service."""
    with short_folder() as made:
        yield made


def separate(folder: Path) -> Path:
    """Make secrets and move the service keys to a directory of their own, which is returned."""
    secrets, keys = folder / "secrets", folder / "keys"
    create_missing(secrets, datetime.now(UTC))
    keys.mkdir(mode=0o700)
    for name in present_keys(secrets):
        install_service_key(keys, name, (secrets / name).read_bytes())
    remove_service_keys(secrets)
    return keys


async def test_licenses_through_the_key_service(folder: Path) -> None:
    """The command line signs through the socket, the license logs in, and its keys are published."""
    async with (
        real_key_service(folder, separate(folder)) as service,
        installation(folder, service.socket) as here,
    ):
        await here.authsvc("team", "create", "acme")
        await here.authsvc("app", "create", "myapp", "--team", "acme")
        terms = ("--app", "myapp", "--customer", "Globex", "--expires", "2031-01-31", "--output", "-")
        file = (await here.authsvc("license", "create", *terms)).out
        license_id = json.loads(file)["license"]["id"]
        token = await here.ask(here.edge, "/auth/token?scope=repository:myapp/x:pull", Account("license", file))
        again = (await here.authsvc("license", "download", license_id, "--output", "-")).out
        (kid,) = await here.published()
        shown = json.loads((await here.authsvc("keys", "show", "--json")).out)

        assert token.status == 200
        assert json.loads(again)["license"] == json.loads(file)["license"]
        assert [key["kid"] for key in shown["license_keys"]] == [kid]
        assert not set(SERVICE_KEYS) & {path.name for path in (folder / "secrets").iterdir()}
        assert (await here.ask(here.inside, "/readyz")).json()["keys"] == "up"

        # A change of keys goes over the other socket, and counts without a restart.
        admin = service.admin_socket
        rotated = json.loads((await here.authsvc("keys", "rotate", "--license", "--json", admin=admin)).out)
        assert rotated["complete"]
        assert await here.published() == [rotated["license_key"], kid]
        sealing = json.loads((await here.authsvc("keys", "rotate", "--sealing", "--json", admin=admin)).out)
        assert len(sealing["sealing_key"]) == 16
        assert (await here.authsvc("keys", "rotate", "--license", check=False)).code == 2


async def test_without_the_key_service(folder: Path) -> None:
    """Tokens are served, what needs the keys is refused in time, and all works again when it is back."""
    keys = separate(folder)
    async with real_key_service(folder, keys) as service, installation(folder, service.socket) as here:
        await here.authsvc("team", "create", "acme")
        await here.authsvc("app", "create", "myapp", "--team", "acme")
        terms = ("--app", "myapp", "--customer", "Globex", "--expires", "2031-01-31", "--output", "-")
        account = Account("license", (await here.authsvc("license", "create", *terms)).out)
        kids = await here.published()
        for stop in (signal.SIGSTOP, signal.SIGKILL):
            os.kill(service.process.pid, stop)
            assert (await here.ask(here.edge, "/auth/token?scope=repository:myapp/x:pull", account)).status == 200
            assert (await here.ask(here.inside, "/readyz")).json()["keys"] == "down"
            refused = await here.authsvc("license", "create", *terms, check=False)
            assert (refused.code, "keys cannot be used now" in refused.err) == (1, True)
            assert await here.published() == kids
            await here.reload()
            assert await here.published() == kids
        async with real_key_service(folder, keys):
            assert (await here.authsvc("license", "create", *terms)).code == 0
            assert (await here.ask(here.inside, "/readyz")).json()["keys"] == "up"


async def test_a_server_that_starts_before_the_key_service(folder: Path) -> None:
    """It serves, publishes no empty set of keys, and publishes the keys when the key service comes."""
    keys = separate(folder)
    async with installation(folder, folder / "keys.sock") as here:
        assert (await here.ask(here.edge, "/auth/license-keys.json")).status == 503
        assert (await here.ask(here.edge, "/livez")).status == 200
        async with real_key_service(folder, keys):

            async def appear() -> None:
                while not await here.published():
                    await asyncio.sleep(0.1)

            await asyncio.wait_for(appear(), PATIENCE)
