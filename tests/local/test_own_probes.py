"""Our own questions to ourselves never go through a proxy, whatever the environment says.

Docker hands the proxies of the user's config.json to every container, and a container that asks a proxy for its own
loopback address is unhealthy for ever (moby/moby#24697 describes the setting).
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from typing_extensions import override

from authsvc.redaction import Secret
from authsvc.registries.ours import OurRegistry, look_at_registry
from authsvc.registries.session import RegistrySession
from tests.support.oci import digest_of
from tests.support.stack import GOOD_PATH
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
DEAD = "http://127.0.0.1:1"
PROXIES = {name: DEAD for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper())}
URL = re.compile(r"http://127\.0\.0\.1:[0-9]+/")


class Answers(BaseHTTPRequestHandler):
    """Answers every question."""

    def do_GET(self) -> None:
        """Answer as a registry that has every image, and wants a token for its base."""
        self.send_response(401 if self.path == "/v2/" else 200)
        self.send_header("Docker-Content-Digest", digest_of(b"{}"))
        self.end_headers()
        self.wfile.write(b"{}")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the URL of a server on loopback."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def healthchecks() -> dict[str, list[str]]:
    """Return the command of each healthcheck of compose.yaml that speaks HTTP, by service."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    checks = {name: service.get("healthcheck", {}).get("test", []) for name, service in services.items()}
    return {name: test[1:] for name, test in checks.items() if any(URL.search(word) or ".sh" in word for word in test)}


def test_which_healthchecks_speak_http() -> None:
    """A new one is tried here without anybody thinking of it; Redis and the sentinels know no proxies."""
    assert {"authsvc", "metrics", "nginx", "registry", "registry3", "registry-s3"} == set(healthchecks())


@pytest.mark.parametrize("service", sorted(healthchecks()))
def test_a_healthcheck_asks_no_proxy(service: str, address: str, tmp_path: Path) -> None:
    """With the proxy of docker's config.json, which is dead, the check still finds its service well."""
    script = URL.sub(address, (ROOT / "registry-config/registry.sh").read_text())
    (tmp_path / "registry.sh").write_text(script)
    (tmp_path / "serves").write_text(service)
    places = {"/etc/docker/registry": str(tmp_path), "/etc/distribution": str(tmp_path), "python3": sys.executable}
    command = [URL.sub(address, word) for word in healthchecks()[service]]
    for place, here in places.items():
        command = [word.replace(place, here) for word in command]

    ran = subprocess.run(
        command, env={"PATH": GOOD_PATH, **PROXIES}, check=False, capture_output=True, text=True, timeout=PATIENCE
    )

    assert 0 == ran.returncode, (command, ran.stderr)


async def test_a_worker_asks_its_registry_without_a_proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `/readyz` nor preflights go through the proxy of the environment."""
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    assert "up" == (await look_at_registry(address.rstrip("/"))).state
    async with RegistrySession(address) as session:
        assert (await OurRegistry(session).find("app/worker", "1", Secret("token"))).exists
