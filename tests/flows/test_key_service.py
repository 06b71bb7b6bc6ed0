"""The key service of a running server: who holds the keys, and what becomes of the rest without it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY
from tests.flows.test_workers import roll, scrape, workers
from tests.support.http_client import ask, get_token
from tests.support.memory import SERVICE_KEY_FILES, found_in_memory, open_files, shapes_of_keys
from tests.support.processes import is_alive, key_service_of
from tests.support.stack import PATIENT, Stack, short_folder
from tests.support.tenants import Account, make_license, make_team
from tests.support.waiting import PATIENCE, until

USES_KEYS = '''
import sys

if "authsvc.server.worker" in sys.orig_argv:
    import authsvc.wiring.health as health
    from authsvc.keys.seal_context import SealContext

    async def use(keys):
        """Ask the key service for everything, as the API and the portal do."""
        context = SealContext("upstream_credential", "acme", "link1", 1)
        await keys.license_keys()
        await keys.sign_license(b'{"id": "x"}')
        await keys.derive_license_token("0" * 16, 1)
        opened = await keys.unseal(await keys.seal(b"an upstream password", context), context)
        return "used" if opened == b"an upstream password" else "wrong"

    health.keys_state = use
'''
"""Makes a worker use the key service whenever it is asked for its readiness. It is otherwise the real one."""

MUTANTS = {
    LICENSE_SIGNING_KEY: "kept = secrets_dir.load_license_signing_key(folder)",
    LICENSE_TOKEN_KEY: "kept = secrets_dir.load_license_token_key(folder)",
    SEALING_KEY: "kept = secrets_dir.load_sealing_keys(folder)",
}
"""Workers that load a key themselves, by what the scan must find."""

MUTANT = """
if "authsvc.server.worker" in sys.orig_argv:
    from pathlib import Path
    from authsvc.keys import secrets_dir

    folder = Path({folder!r})
    {how}
"""


@frozen
class Scene:
    """A running server whose workers can be given other code.

    Attributes:
        stack: the installation.
        code: runs in every process of the server at its start.
        account: of a license.
    """

    stack: Stack
    code: Path
    account: Account

    @property
    def secrets(self) -> Path:
        """The secrets directory."""
        return self.stack.data_dir / "secrets"

    def key_service(self) -> int:
        """Return its process id, once there is one."""
        return until(lambda: key_service_of(self.stack.pid("serve")), "the key service runs")

    def begin(self) -> None:
        """Replace the worker of the test before, which may have other code, by one as it is."""
        self.code.write_text("")
        roll(self.stack, self.stack.pid("serve"))
        until(lambda: self.state() == "up", "the key service answers")

    def state(self) -> str:
        """Return what a worker says about the key service."""
        state: str = ask(self.stack.inside, "GET", "/readyz").json()["keys"]
        return state

    def token_status(self) -> int:
        """Return what becomes of a token request."""
        status: int = get_token(
            self.stack.port, self.account, "repository:keysapp/x:pull", service=self.stack.name
        ).status
        return status


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Yield a server with one worker."""
    with short_folder() as folder:
        code = folder / "code" / "sitecustomize.py"
        code.parent.mkdir()
        code.write_text("")
        stack = Stack(folder, settings={"AUTHSVC_REDIS_DEADLINE": PATIENT, "PYTHONPATH": str(code.parent)})
        try:
            stack.start()
            make_team(stack, "keysapp")
            yield Scene(stack, code, make_license(stack, "keysapp").account)
        finally:
            if stack.process is not None:
                stack.stop()


def test_a_worker_holds_none_of_the_keys(scene: Scene) -> None:
    """After it served licenses and used the key service, neither its memory nor its open files have a key.

    The same scan finds every key in the key service, and in a worker that loads one.
    """
    shapes = shapes_of_keys(scene.secrets)
    scene.code.write_text(USES_KEYS)
    roll(scene.stack, scene.stack.pid("serve"))
    until(lambda: scene.state() == "used", "the worker has used the key service")
    assert [scene.token_status() for _ in range(20)] == [200] * 20
    (worker,) = workers(scene.stack)
    assert found_in_memory(worker, shapes) == set()
    assert not [name for name in open_files(worker) if name.startswith(str(scene.secrets))]
    assert found_in_memory(scene.key_service(), shapes) == set(SERVICE_KEY_FILES)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_worker_that_loads_a_key_is_caught(scene: Scene, name: str) -> None:
    """The scan of the test above finds the key that a worker holds, whichever it is, and no other."""
    scene.code.write_text(USES_KEYS + MUTANT.format(folder=str(scene.secrets), how=MUTANTS[name]))
    roll(scene.stack, scene.stack.pid("serve"))
    (worker,) = workers(scene.stack)
    scene.code.write_text("")

    assert found_in_memory(worker, shapes_of_keys(scene.secrets)) == {name}


def test_a_worker_that_keeps_a_file_open_is_caught(scene: Scene) -> None:
    """So does the look at its open files."""
    how = f"kept = (folder / {SEALING_KEY!r}).open()"
    scene.code.write_text(USES_KEYS + MUTANT.format(folder=str(scene.secrets), how=how))
    roll(scene.stack, scene.stack.pid("serve"))
    (worker,) = workers(scene.stack)
    scene.code.write_text("")

    assert str(scene.secrets / SEALING_KEY) in open_files(worker)


def test_a_killed_key_service_is_replaced(scene: Scene) -> None:
    """Tokens are served meanwhile, the same worker is served by the next one, and the death is counted."""
    scene.begin()
    before, killed = workers(scene.stack), scene.key_service()
    deaths = scrape(scene.stack)["authsvc_key_service_deaths_total"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: not is_alive(killed), "it is gone")
    assert scene.token_status() == 200
    until(lambda: scene.key_service() != killed and scene.state() == "up", "another one answers")
    assert workers(scene.stack) == before
    samples = scrape(scene.stack)
    assert samples["authsvc_key_service_deaths_total"] == deaths + 1
    assert samples["authsvc_key_operations_total|list_license_keys|done"] > 0
    assert "key_service.died" in {event["event"] for event in scene.stack.events("serve.log")}


def test_a_stopped_key_service_is_replaced(scene: Scene) -> None:
    """It is shown as down within a deadline and killed when it stays silent; tokens are served all the time."""
    scene.begin()
    stopped = scene.key_service()
    os.kill(stopped, signal.SIGSTOP)
    began = time.monotonic()
    assert scene.state() == "down"
    assert time.monotonic() - began < PATIENCE / 10
    assert [scene.token_status() for _ in range(10)] == [200] * 10
    until(lambda: not is_alive(stopped), "it is killed")
    until(lambda: scene.state() == "up", "another one answers")


def test_it_is_replaced_with_the_workers(scene: Scene) -> None:
    """A reload, as after an update, gives it new code too, and no operation fails for that."""
    scene.begin()
    before = scene.key_service()
    roll(scene.stack, scene.stack.pid("serve"))
    until(lambda: scene.key_service() != before, "there is another one")
    until(lambda: scene.state() == "up", "it answers")
    until(lambda: not is_alive(before), "the old one is gone")


def test_it_ends_with_its_parent(scene: Scene) -> None:
    """Also with one that is killed; `up` starts the next server with another key service."""
    serve, orphan = scene.stack.pid("serve"), scene.key_service()
    os.kill(serve, signal.SIGKILL)
    until(lambda: not is_alive(orphan), "the key service is gone")
    until(lambda: scene.stack.pid("serve") != serve and key_service_of(scene.stack.pid("serve")), "another one runs")
    until(lambda: scene.token_status() == 200, "tokens are served")
