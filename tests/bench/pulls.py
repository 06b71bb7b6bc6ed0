"""Pulls of an image of many layers with skopeo: through the whole stack, and from a registry that asks nobody."""

import http.client
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from attrs import define, frozen

from authsvc.local.programs import find_binaries
from tests.bench.installation import APP, TEAM
from tests.support.http_client import ask
from tests.support.oci import manifest_of
from tests.support.ports import free_port
from tests.support.real_registry import serving
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import GOOD_PATH, Ran, Stack, run, short_folder
from tests.support.tenants import make_license, make_member

LAYERS = 20
LAYER_BYTES = 4 << 20
REPOSITORY, TAG = f"{APP}/layers", "1"

_CONFIGURATION = """version: 0.1
log: {{ level: warn, accesslog: {{ disabled: true }} }}
storage: {{ filesystem: {{ rootdirectory: {storage} }} }}
http: {{ addr: "127.0.0.1:{port}" }}
"""


@frozen
class Pulls:
    """What some pairs of pulls took.

    Attributes:
        layers: of the image.
        seconds: of each pull through the stack.
        bare_seconds: of each from the bare registry, one before each of those.
        token_requests: of one pull through the stack.
    """

    layers: int
    seconds: list[float]
    bare_seconds: list[float]
    token_requests: float


def run_pulls(stack: Stack, pairs: int, layer_bytes: int = LAYER_BYTES) -> Pulls:
    """Push an image, and pull it some times from the bare registry and through the stack in turn."""
    member = make_member(stack, TEAM, "developer", APP)
    client = Client(stack.port, member)
    config, layers = b"{}", [os.urandom(layer_bytes) for _ in range(LAYERS)]
    for blob in (config, *layers):
        client.push_blob(REPOSITORY, blob)
    assert client.put_manifest(REPOSITORY, TAG, manifest_of(config, *layers)).status == 201
    with short_folder() as folder, _bare_registry(stack) as port:
        puller = _Puller(stack, folder)
        skopeo = Skopeo(stack, folder)
        assert skopeo.log_in(make_license(stack, APP).account).code == 0
        ours = puller.timed(lambda to: skopeo.run("copy", "--src-tls-verify=false", _image(stack.name), to))
        bare = puller.timed(lambda to: puller.run("copy", "--src-tls-verify=false", _image(f"127.0.0.1:{port}"), to))
        ours(), bare()
        asked, seconds, bare_seconds = _token_requests(stack), list[float](), list[float]()
        for _ in range(pairs):
            bare_seconds.append(bare())
            seconds.append(ours())
        return Pulls(LAYERS, seconds, bare_seconds, (_token_requests(stack) - asked) / pairs)


@define
class _Puller:
    stack: Stack
    folder: Path

    def run(self, *arguments: str) -> Ran:
        return run("skopeo", *arguments, environ=self.stack.environ, cwd=self.folder)

    def timed(self, pull: Callable[[str], Ran]) -> Callable[[], float]:
        """Return what pulls into a new folder, and says how long that took."""

        def once() -> float:
            began = time.monotonic()
            pulled = pull(f"dir:{self.folder / 'pulled'}")
            took = time.monotonic() - began
            assert pulled.code == 0, pulled
            shutil.rmtree(self.folder / "pulled")
            return took

        return once


def _image(registry: str) -> str:
    return f"docker://{registry}/{REPOSITORY}:{TAG}"


@contextmanager
def _bare_registry(stack: Stack) -> Iterator[int]:
    """Run a registry that asks for no token on the images of a stack, and yield its port."""
    port = free_port()

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    folder = stack.folder / "bare-registry"
    folder.mkdir()
    storage = stack.data_dir / "registry"
    (folder / "registry.yml").write_text(_CONFIGURATION.format(storage=storage, port=port), encoding="utf-8")
    with serving(Path(find_binaries(GOOD_PATH).registry), folder, answers):
        yield port


def _token_requests(stack: Stack) -> float:
    """Return how many token requests the stack has counted."""
    text = ask(stack.inside, "GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("authsvc_token_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def facts(pulls: Pulls) -> dict[str, float]:
    """Return the figures of some pulls."""
    return {
        "layers": pulls.layers,
        "seconds": round(median(pulls.seconds), 3),
        "bare_seconds": round(median(pulls.bare_seconds), 3),
        "token_requests": pulls.token_requests,
    }
