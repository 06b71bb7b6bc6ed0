"""HTTP requests byte for byte as the test wants them: no redirects followed, no names cleaned, no retries."""

import base64
import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from typing_extensions import override

from tests.support.tenants import Account
from tests.support.waiting import PATIENCE

FORM = "application/x-www-form-urlencoded"


@frozen
class Reply:
    """An answer.

    Attributes:
        headers: with names in lower case.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)

    def error(self) -> tuple[str, str]:
        """Return code and message of a registry error."""
        (error,) = self.json()["errors"]
        return error["code"], error["message"]


class UnixConnection(http.client.HTTPConnection):
    """A connection to a server on a unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        """Connect to ``path`` when something is asked."""
        super().__init__("localhost", timeout=seconds)
        self._path = path

    @override
    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


Place = int | Path | tuple[str, int]
"""A port of this machine, a unix socket, or a host and its port."""


def ask(
    place: Place,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] = b"",
    seconds: float = PATIENCE,
) -> Reply:
    """Send one request. A body that is no bytes is sent in chunks."""
    if isinstance(place, Path):
        connection: http.client.HTTPConnection = UnixConnection(place, seconds)
    else:
        host, port = place if isinstance(place, tuple) else ("127.0.0.1", place)
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, answer.reason, found, answer.read())
    finally:
        connection.close()


def say(port: int, raw: bytes, seconds: float = PATIENCE) -> bytes:
    """Send bytes to this machine and return all that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(raw)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def basic(account: Account) -> dict[str, str]:
    """Return the header that signs ``account`` in (RFC 7617)."""
    return {"Authorization": f"Basic {base64.b64encode(f'{account.username}:{account.password}'.encode()).decode()}"}


def get_token(place: Place, account: Account | None, *scopes: str, service: str | None = None) -> Reply:
    """Ask for a token as docker does."""
    parameters = [("service", service or f"localhost:{place}"), *(("scope", scope) for scope in scopes)]
    return ask(place, "GET", f"/auth/token?{urlencode(parameters)}", headers=basic(account) if account else None)


def post_token(port: int, account: Account, *scopes: str, **more: str) -> Reply:
    """Ask for a token as containerd does."""
    form = {
        "grant_type": "password",
        "username": account.username,
        "password": account.password,
        "service": f"localhost:{port}",
        "client_id": "containerd-client",
        "scope": " ".join(scopes),
        **more,
    }
    return ask(port, "POST", "/auth/token", headers={"Content-Type": FORM}, body=urlencode(form).encode())


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
