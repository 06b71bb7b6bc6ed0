"""docs/license-holders.md, every command of it typed by a new user on real clients."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.containerd import containerd
from tests.support.docker_engine import DockerEngine
from tests.support.oci import Image
from tests.support.ports import free_port
from tests.support.registry_client import Client
from tests.support.stack import GOOD_PATH, run, running_stack
from tests.support.tenants import make_member, make_team
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/license-holders.md").read_text(encoding="utf-8")

OPEN_REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def open_registry(folder: Path) -> Iterator[str]:
    """Run a registry of the license holder's own, without accounts, and yield its name."""
    port = free_port()
    config = folder / "open.yml"
    config.write_text(OPEN_REGISTRY.format(folder=folder, port=port))
    process = subprocess.Popen(
        ("docker-registry", "serve", str(config)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        answers = ("curl", "--silent", "--fail", f"http://127.0.0.1:{port}/v2/")
        until(lambda: run(*answers, environ={"PATH": GOOD_PATH}, cwd=folder).code == 0, "the registry answers")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def blocks(language: str) -> list[str]:
    """Return the fenced texts of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page(engine: DockerEngine, tmp_path: Path) -> None:
    """Somebody with the three files and nothing else types the page from top to bottom, and all of it works."""
    folder = tmp_path / "user"
    folder.mkdir()
    made = (sys.executable, ROOT / ".ci/make-zipapp", folder / "authsvc-license.pyz")
    subprocess.run(made, timeout=PATIENCE, check=True)
    with running_stack() as stack, containerd() as daemon, open_registry(tmp_path) as internal:
        owner = make_member(stack, make_team(stack, "myapp"), "owner")
        Client(stack.port, owner).push("myapp/worker", "1.0.1", Image(b"the product"))
        terms = ("--app", "myapp", "--customer", "Acme", "--expires", "2031-01-31")
        stack.authsvc("license", "create", *terms, "--output", str(folder / "acme.license.json"))
        assert {"acme.license.json", "acme.license-key.json"} < {path.name for path in folder.iterdir()}
        places = {
            "registry.vendor.com": stack.name,
            "registry.internal": internal,
            "/etc/": f"{folder}/etc/",
            "/usr/local/lib/": f"{folder}/lib/",
        }

        def placed(text: str) -> str:
            for name, place in places.items():
                text = text.replace(name, place)
            return text

        # What this machine has instead of TLS and of mounts.
        insecure = "".join(f'[[registry]]\nlocation = "{name}"\ninsecure = true\n' for name in (stack.name, internal))
        (folder / ".config/containers").mkdir(parents=True)
        (folder / ".config/containers/registries.conf").write_text(insecure)
        storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
        (tmp_path / "storage.conf").write_text(storage)
        environ = {
            "PATH": f"{folder}/.local/bin:{GOOD_PATH}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "DOCKER_HOST": engine.environ["DOCKER_HOST"],
            "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
            "CONTAINERD_ADDRESS": f"{daemon.folder}/sock",
            "CONTAINERD_SNAPSHOTTER": "native",
        }
        (folder / "compose.yaml").write_text(placed(blocks("yaml")[0]))
        typed = blocks("sh")
        assert len(typed) > 12
        for block in typed:
            ran = run("bash", "-euo", "pipefail", "-c", placed(block), environ=environ, cwd=folder)
            assert 0 == ran.code, (block, ran)
