"""``authsvc up`` as it is typed: real servers, real signals."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define

from authsvc.setup.layout import Layout
from tests.support.waiting import PATIENCE, until


@define
class Up:
    """A running ``authsvc up``."""

    process: subprocess.Popen[str]
    layout: Layout
    port: int
    folder: Path

    def stdout(self) -> str:
        """Return what it has printed."""
        return (self.folder / "stdout").read_text()

    def stderr(self) -> str:
        """Return what it has complained about."""
        return (self.folder / "stderr").read_text()

    def until(self, text: str, read: str = "stderr") -> None:
        """Wait for a text."""

        def said() -> bool:
            found = text in getattr(self, read)()
            assert found or self.process.poll() is None, f"it ended; stdout: {self.stdout()} stderr: {self.stderr()}"
            return found

        until(said, f"{text!r} is said")

    def pid(self, name: str) -> int:
        """Return the process id of a child."""
        return int((self.layout.run / f"{name}.pid").read_text())

    def get(self, path: str, port: int | None = None) -> tuple[int, str, str]:
        """Return status, challenge and body of an answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=PATIENCE) as reply:
                return reply.status, "", reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("www-authenticate", ""), error.read().decode()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def up(folder: Path, port: int, *arguments: str, **environment: str) -> Iterator[Up]:
    """Start ``authsvc up`` and wait for its ready line."""
    with starting(folder, port, *arguments, **environment) as stack:
        stack.until("\n", "stdout")
        yield stack


@contextmanager
def starting(folder: Path, port: int, *arguments: str, **environment: str) -> Iterator[Up]:
    """Start ``authsvc up`` in a folder of its own."""
    command = [sys.executable, "-m", "authsvc", "up", "--listen", f"127.0.0.1:{port}", "--workers", "1"]
    with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "my data"), *arguments],
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**os.environ, **environment},
        )
    try:
        yield Up(process, Layout(folder / "my data"), port, folder)
    finally:
        process.kill()
        process.wait()
        until(lambda: not inside(folder), "every process in the folder ends")


def inside(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def authsvc(stack: Up, *arguments: str) -> str:
    """Run a command on a stack."""
    environment = {**os.environ, "AUTHSVC_DATA_DIR": str(stack.layout.root)}
    command = [sys.executable, "-m", "authsvc", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def test_first_start_and_clean_stop(folder: Path, free_port: int) -> None:
    """The ready line is true, the story follows it, and SIGTERM leaves nothing running."""
    with up(folder, free_port) as stack:
        realm = f'Bearer realm="http://localhost:{free_port}/auth/token",service="localhost:{free_port}"'
        assert stack.get("/v2/")[:2] == (401, realm)
        assert stack.get("/auth/token")[0] == 401
        host, _, port = stack.layout.edge_address.read_text().strip().partition(":")
        assert host == "127.0.0.1"
        assert stack.get("/livez", int(port))[0] == 200
        stack.until("authsvc team create acme", "stdout")
        assert stack.stdout().startswith(f"ready http://localhost:{free_port}\n")
        assert f"docker push localhost:{free_port}/myapp/worker:1.0.1" in stack.stdout()

        assert stack.stop() == 0

        assert inside(folder) == []
        assert {path.name for path in stack.layout.run.iterdir()} == {"lock", "gc-lock", "registry-writes-lock"}
        assert stack.stderr() == "authsvc: stopping; interrupt again to stop without waiting\n"
        with pytest.raises(urllib.error.URLError):
            stack.get("/v2/")


def test_a_second_start_goes_on(folder: Path, free_port: int) -> None:
    """Data, keys and secrets of the first run are still there, also when it was killed; the story is short now."""

    def secrets(stack: Up) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in stack.layout.secrets.iterdir()}

    with up(folder, free_port) as stack:
        first = secrets(stack)
        authsvc(stack, "team", "create", "acme")
        stack.stop(signal.SIGKILL)

    with up(folder, free_port) as stack:
        stack.until("authsvc --help", "stdout")
        assert secrets(stack) == first
        assert "acme" in authsvc(stack, "team", "list")
        assert "docker" not in stack.stdout()
        assert stack.stop(signal.SIGINT) == 0


def test_dead_children_come_back(folder: Path, free_port: int) -> None:
    """Each child may be killed; one line says so and the stack works again on the same addresses."""
    with up(folder, free_port) as stack:
        edge = stack.layout.edge_address.read_text()
        for name in ("redis", "registry", "serve", "nginx"):
            os.kill(stack.pid(name), signal.SIGKILL)
            stack.until(f"authsvc: {name} is running again")

        assert stack.get("/v2/")[0] == 401
        assert stack.get("/auth/token")[0] == 401
        assert stack.layout.edge_address.read_text() == edge
        # A child that takes its time, as Redis while it loads, may be said to be not ready yet.
        lines = [line for line in stack.stderr().splitlines() if " is not ready: " not in line]
        assert len(lines) == 8, lines
        assert stack.stop() == 0


def test_the_public_url_is_what_clients_are_told(folder: Path, free_port: int) -> None:
    """Realm, service and ready line name it, whatever address is bound; JSON is one line."""
    url = "https://registry.example.com"
    with up(folder, free_port, "--json", AUTHSVC_PUBLIC_URL=url) as stack:
        assert stack.get("/v2/")[1] == f'Bearer realm="{url}/auth/token",service="registry.example.com"'
        assert json.loads(stack.stdout()) == {
            "ready": url,
            "data_dir": str(stack.layout.root),
            "edge": stack.layout.edge_address.read_text().strip(),
        }


def refused(folder: Path, port: int, *arguments: str, **environment: str) -> str:
    """Return the one line of a refused start."""
    with starting(folder, port, *arguments, **environment) as stack:
        assert stack.process.wait(timeout=PATIENCE) == 2
        assert inside(folder) == []
        assert stack.stdout() == ""
        return stack.stderr()


def test_a_second_stack_is_refused(folder: Path, free_port: int) -> None:
    """On the same directory by its lock, on the same port by its holder, while the first goes on."""
    with up(folder, free_port) as stack:
        other = folder / "other"
        other.mkdir()
        same = subprocess.run(
            [sys.executable, "-m", "authsvc", "init", "--data-dir", str(stack.layout.root)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert (same.returncode, same.stdout) == (2, "")
        assert f"another authsvc (pid {stack.process.pid}) is running on {stack.layout.root}" in same.stderr

        line = refused(other, free_port)
        assert line.startswith(f"authsvc: 127.0.0.1:{free_port} is in use by pid {stack.pid('nginx')} (nginx: master")
        assert line.count("\n") == 1
        assert not (other / "my data").exists()
        assert stack.get("/v2/")[0] == 401


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (("--listen", "5000"), {}, "authsvc: --listen '5000' is not an address and a port;"),
        (("--public-url", "localhost"), {}, "authsvc: --public-url 'localhost' is not a registry address:"),
        ((), {"PATH": "/nowhere"}, "authsvc: redis-server is not installed; on Debian and Ubuntu: sudo apt-get"),
        ((), {"AUTHSVC_CONFIG": "/etc/authsvc.toml"}, "authsvc: AUTHSVC_CONFIG is for `authsvc serve`"),
        (("--data-dir", "/dev/null"), {}, "authsvc: the data directory /dev/null is a file;"),
        (("--data-dir", "/dev/null/x"), {}, "authsvc: the data directory /dev/null/x cannot be made:"),
        (("--data-dir", "/tmp/" + "x" * 100), {}, "authsvc: the data directory /tmp/xxx"),
    ],
)
def test_what_can_not_work_is_refused(
    folder: Path, free_port: int, arguments: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    """One clear line, exit code 2, and nothing made."""
    line = refused(folder, free_port, *arguments, **environment)

    assert line.startswith(expected)
    assert line.count("\n") == 1
    assert not (folder / "my data").exists()


def test_a_wrong_setting_stops_the_start(folder: Path, free_port: int) -> None:
    """What serve would refuse is refused before anything is made or started."""
    text = refused(folder, free_port, AUTHSVC_NONSENSE="1")

    assert text.startswith("authsvc: AUTHSVC_NONSENSE is not a setting")
    assert not (folder / "my data").exists()


def test_a_damaged_key_stops_the_start(folder: Path, free_port: int) -> None:
    """A secret that others may read is refused before anything runs."""
    with up(folder, free_port) as stack:
        stack.stop()
    (stack.layout.secrets / "token-root.key.pem").chmod(0o644)

    assert "token-root.key.pem is open to others" in refused(folder, free_port)


def test_init_prints_json(folder: Path) -> None:
    """The first ``init`` lists what it wrote, the second one nothing."""
    command = [sys.executable, "-m", "authsvc", "init", "--json", "--data-dir", str(folder / "d")]

    written = [
        json.loads(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout)["written"]
        for _ in range(2)
    ]

    assert {"token-root.cert.pem", "registry.yml", "nginx.conf", "redis.conf", "authsvc.toml"} <= set(written[0])
    assert written[1] == []
