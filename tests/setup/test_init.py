"""``init`` on a data directory, its files taken by the servers they are for."""

import os
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from attrs import evolve
from redis import Redis

from authsvc.keys.file_names import NGINX_SECRET, REGISTRY_EVENTS_SECRET
from authsvc.listen_address import parse_listen
from authsvc.local.programs import find_binaries, redis_file_argument
from authsvc.public_url import parse_public_url
from authsvc.setup.data_dir import MARKER, prepare
from authsvc.setup.init import Site, configuration_of, init
from authsvc.setup.layout import Layout
from tests.setup.test_render import HOSTILE
from tests.support.waiting import PATIENCE, until

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BINARIES = find_binaries(os.environ["PATH"])
SITE = Site(
    listen=parse_listen("127.0.0.1:5000"),
    public_url=parse_public_url("https://registry.example.com"),
    edge="127.0.0.1:8080",
    inside="127.0.0.1:8081",
)


@pytest.fixture
def hostile(folder: Path) -> Layout:
    """Return a data directory whose name means something in every configuration language."""
    return prepare(folder / HOSTILE)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of a block."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a socket accepts connections."""

    def listens() -> bool:
        assert process.poll() is None, process.communicate()[0]
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    until(listens, f"a server listens on {path}")


def test_a_second_call_changes_nothing(layout: Layout) -> None:
    """The first call writes everything, privately; the second one nothing."""
    first = init(layout, SITE, NOW)
    before = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}

    assert init(layout, SITE, NOW) == ()
    assert before == {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    assert {*first, MARKER} == {path.name for path in before}
    assert {0o600} == {path.stat().st_mode & 0o777 for path in before}


def test_another_address_changes_the_configuration_alone(layout: Layout) -> None:
    """A new public URL keeps keys and secrets."""
    init(layout, SITE, NOW)
    moved = evolve(SITE, public_url=parse_public_url("https://other.example"))

    assert init(layout, moved, NOW) == ("registry.yml", "registry-read-only.yml", "nginx.conf", "authsvc.toml")


def test_an_older_installation_gets_the_bearer(layout: Layout) -> None:
    """Its secrets stay as they are, and the registry is configured with the new one."""
    init(layout, SITE, NOW)
    (layout.secrets / REGISTRY_EVENTS_SECRET).unlink()
    before = {path.name: path.read_bytes() for path in layout.secrets.iterdir()}

    assert init(layout, SITE, NOW) == (REGISTRY_EVENTS_SECRET, "registry.yml", "registry-read-only.yml")

    after = {path.name: path.read_bytes() for path in layout.secrets.iterdir()}
    bearer = after.pop(REGISTRY_EVENTS_SECRET).decode().strip()
    assert after == before
    assert f'"Bearer {bearer}"' in configuration_of(layout).registry.read_text()


def test_an_older_installation_gets_the_secret_of_nginx(layout: Layout) -> None:
    """The next `init` makes it, and nginx is configured with the newest line."""
    init(layout, SITE, NOW)
    path = layout.secrets / NGINX_SECRET
    path.unlink()

    assert init(layout, SITE, NOW) == (NGINX_SECRET, "nginx.conf")
    assert f'"{path.read_text().strip()}"' in configuration_of(layout).nginx.read_text()
    path.write_text(f"{'5E' * 31}0d\n{path.read_text()}")
    assert init(layout, SITE, NOW) == ("nginx.conf",)
    assert f'"{"5e" * 31}0d"' in configuration_of(layout).nginx.read_text()


def test_the_newest_bearer_is_sent(layout: Layout) -> None:
    """While it is replaced, the first line counts."""
    init(layout, SITE, NOW)
    path = layout.secrets / REGISTRY_EVENTS_SECRET
    path.write_text(f"{'5E' * 31}0d\n{path.read_text()}")

    assert init(layout, SITE, NOW) == ("registry.yml", "registry-read-only.yml")
    assert f'"Bearer {"5e" * 31}0d"' in configuration_of(layout).registry.read_text()


def test_authsvc_gets_its_paths(hostile: Layout) -> None:
    """The file for serve names sockets as URLs and folders as they are."""
    init(hostile, SITE, NOW)

    settings = tomllib.loads(configuration_of(hostile).authsvc.read_text())

    assert settings["public_url"] == "https://registry.example.com"
    assert str(hostile.secrets) == settings["secrets_dir"]
    assert str(hostile.redis_socket) == unquote(settings["redis_url"].removeprefix("unix://"))
    assert str(hostile.registry_socket) == unquote(settings["registry_url"].removeprefix("unix://"))


def test_redis_takes_its_file(hostile: Layout) -> None:
    """Redis runs on it with the durability that the design promises."""
    init(hostile, SITE, NOW)
    with running(BINARIES.redis, redis_file_argument(configuration_of(hostile).redis)) as process:
        wait_for(hostile.redis_socket, process)
        with Redis.from_url(tomllib.loads(configuration_of(hostile).authsvc.read_text())["redis_url"]) as client:
            settings = client.config_get("*")
            client.set("a", "1")

    expected = {
        "appendfsync": "always",
        "appendonly": "yes",
        "dir": str(hostile.redis.resolve()),
        "maxmemory-policy": "noeviction",
        "port": "0",
        "protected-mode": "yes",
        "save": "3600 1",
    }
    assert expected == {name: settings[name] for name in expected}
    assert (hostile.redis / "appendonlydir").is_dir()


def test_the_registry_takes_its_file(hostile: Layout) -> None:
    """The registry runs on it and challenges with our realm and service."""
    init(hostile, SITE, NOW)
    with running(BINARIES.registry, "serve", str(configuration_of(hostile).registry)) as process:
        wait_for(hostile.registry_socket, process)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(hostile.registry_socket))
            client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()

    assert answer.startswith("HTTP/1.1 401 ")
    assert (
        'Www-Authenticate: Bearer realm="https://registry.example.com/auth/token",service="registry.example.com"\r\n'
        in answer
    )


def test_nginx_takes_its_file(hostile: Layout) -> None:
    """Nginx finds nothing to object to, not even a warning."""
    init(hostile, SITE, NOW)
    command = [BINARIES.nginx, "-t", "-q", "-e", "stderr", "-p", f"{hostile.nginx}/", "-c"]

    run = subprocess.run(
        [*command, str(configuration_of(hostile).nginx)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert (run.returncode, run.stderr) == (0, "")
