"""Which requests of the tools go through a proxy, and that none of them shows the registry token to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from authsvc.installer.proxies import proxy_for
from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, put_file

PROXY = "http://proxy.test:3128"


class RecordingProxy:
    """A listener that keeps what it is sent and hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with closing(connection):
                    self.received.append(connection.recv(65536))

    def close(self) -> None:
        """Listen no longer."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    """Return a proxy that the environment of a test may name."""
    made = RecordingProxy()
    yield made
    made.close()


def variables(port: int) -> dict[str, str]:
    """Return every variable that may name a proxy."""
    url = f"http://127.0.0.1:{port}"
    return {name: url for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())}


@pytest.mark.parametrize("registry", ["localhost:1", "127.0.0.1:1", "[::1]:1"])
def test_a_registry_on_this_machine_is_asked_directly(
    tool: Tool, tmp_path: Path, proxy: RecordingProxy, registry: str
) -> None:
    """Neither https nor the plain http that follows it reaches the proxy, as with docker."""
    ran = tool(
        "preflight", put_file(tmp_path / "a.json", registry=registry), f"{registry}/myapp/x:1", **variables(proxy.port)
    )

    assert 1 == ran.code
    assert f"no answer from {registry}" in ran.err
    assert [] == proxy.received


def test_plain_http_never_uses_a_proxy(tool: Tool, tmp_path: Path, proxy: RecordingProxy) -> None:
    """With --plain-http the proxy could read the token, so the registry is asked directly or not at all."""
    file = put_file(tmp_path / "a.json", registry="registry.invalid:5000")

    ran = tool("preflight", "--plain-http", file, "registry.invalid:5000/myapp/x:1", **variables(proxy.port))

    assert (1, []) == (ran.code, proxy.received)


def test_https_goes_through_a_tunnel(tool: Tool, tmp_path: Path, proxy: RecordingProxy) -> None:
    """The proxy learns the name of the registry and nothing else, and NO_PROXY keeps even that from it."""
    file = put_file(tmp_path / "a.json", registry="registry.invalid")
    asked = ("preflight", file, "registry.invalid/myapp/x:1")

    assert 1 == tool(*asked, **variables(proxy.port)).code
    (request,) = proxy.received
    assert request.startswith(b"CONNECT registry.invalid:443 ")
    assert FACTS["registry_token"].encode() not in request
    assert b"authorization" not in request.lower()
    assert 1 == tool(*asked, **variables(proxy.port), NO_PROXY="invalid").code
    assert 1 == len(proxy.received)


@pytest.mark.parametrize(
    ("authority", "no_proxy", "used"),
    [
        ("registry.test", "", True),
        ("registry.test", "*", False),
        ("registry.test", "other.test, registry.test", False),
        ("registry.test", "REGISTRY.TEST", False),
        ("registry.test", "test", False),
        ("registry.test", ".test", False),
        ("registry.test", "*.test", False),
        ("registry.test", ".registry.test", True),
        ("registry.test", "istry.test", True),
        ("registry.test", "registry.test:443", False),
        ("registry.test", "registry.test:5000", True),
        ("registry.test:5000", "registry.test:5000", False),
        ("registry.test:5000", "registry.test", False),
        ("10.1.2.3:5000", "10.0.0.0/8", False),
        ("11.1.2.3:5000", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("10.1.2.3:5000", "10.1.2.3:5001", True),
        ("10.1.2.3", "2.3", True),
        ("[fd00::1]:5000", "fd00::/8", False),
        ("[fd00::1]:5000", "fd00::1", False),
        ("[fd00::1]:5000", "[fd00::1]:5000", False),
        ("registry.test", "10.0.0.0/8,,nonsense/99", True),
        ("localhost", "", False),
        ("127.8.8.8:5000", "", False),
        ("[::ffff:127.0.0.1]", "", False),
        ("localhost.test", "", True),
    ],
)
def test_no_proxy_means_what_it_means_to_docker(authority: str, no_proxy: str, used: bool) -> None:
    """Domains cover their subdomains, and networks, addresses and ports count."""
    given = {"https_proxy": PROXY, "no_proxy": no_proxy}

    assert (PROXY if used else None) == proxy_for("https", authority, given)
    assert None is proxy_for("http", authority, given)


def test_upper_case_comes_first_and_a_scheme_is_optional() -> None:
    """As in docker, HTTPS_PROXY wins over https_proxy, and HOST:PORT is an http proxy."""
    assert "http://a:1" == proxy_for("https", "registry.test", {"HTTPS_PROXY": "a:1", "https_proxy": "b:2"})
    assert None is proxy_for("https", "registry.test", {"HTTP_PROXY": "a:1"})
