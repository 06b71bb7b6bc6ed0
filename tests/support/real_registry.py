"""A stock registry with our rendered configuration, on a socket of its own, for as long as a test wants it."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.issuance import ISSUER
from authsvc.setup.render import EventsValues, RegistryValues, render
from tests.support.builders import SERVICE, Root
from tests.support.registry_rules import real_now
from tests.support.waiting import PATIENCE, until

INSTALLED = Path("/usr/bin/docker-registry")
"""Debian 12's: 2.8.2."""

TRIXIE = Path(__file__).parents[2] / ".cache/trixie/docker-registry/usr/bin/docker-registry"
"""Debian 13's: 2.8.3, unpacked by `make test`."""

REALM = f"https://{SERVICE}/auth/token"


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("registry", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


@frozen
class Reply:
    """What a registry answered.

    Attributes:
        status: HTTP status.
        headers: with lower-case names.
        body: as sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def challenge(self) -> dict[str, str]:
        """The parameters of the Bearer challenge."""
        return dict(re.findall(r'(\w+)="([^"]*)"', self.headers.get("www-authenticate", "")))

    @property
    def scopes(self) -> list[str]:
        """The scopes that the challenge asks for, with sorted actions, in order: the registry's own order is random."""
        scopes = self.challenge.get("scope", "").split()
        split = (scope.rpartition(":") for scope in scopes)
        return sorted(f"{head}:{','.join(sorted(actions.split(',')))}" for head, _, actions in split)


@frozen
class RealRegistry:
    """A running registry.

    Attributes:
        folder: its own.
        root: the token root that it trusts.
    """

    folder: Path
    root: Root = field(repr=False)

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return the reply to one request."""
        connection = SocketConnection(self.folder / "r.sock")
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body=body or None, headers=given)
            response = connection.getresponse()
            text = response.read()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether it answers at all."""
        try:
            return self.ask("GET", "/").status == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "log").read_text(errors="replace")


@contextmanager
def running(binary: Path, events: EventsValues | None = None) -> Iterator[RealRegistry]:
    """Run ``binary`` with a root and a folder of its own; it sends its events where ``events`` says."""
    assert binary.exists(), f"{binary} is missing: make test fetches it"
    folder = Path(tempfile.mkdtemp(prefix="asvreg-"))
    root = Root.make(now=real_now())
    (folder / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    values = RegistryValues(
        network="unix",
        address=str(folder / "r.sock"),
        storage_dir=str(folder / "storage"),
        realm=REALM,
        service=SERVICE,
        issuer=ISSUER,
        root_certificate=str(folder / "root.pem"),
        http_secret="0" * 64,
        events=events,
    )
    (folder / "registry.yml").write_text(render(values))
    registry = RealRegistry(folder, root)
    with serving(binary, folder, registry.answers):
        yield registry


@contextmanager
def serving(binary: Path, folder: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Run ``binary`` by the ``registry.yml`` in ``folder`` while the context lasts; then the folder is removed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary), "serve", str(folder / "registry.yml")], env=environment, stdout=log, stderr=log
        )  # fmt: skip
    try:
        until(lambda: _runs(process, folder) and answers(), "the registry's first answer")
        yield
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _runs(process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    """Whether the registry still runs; if not, fail with its last words."""
    assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
    return True
