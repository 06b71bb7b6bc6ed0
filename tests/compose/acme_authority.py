"""A small ACME authority (RFC 8555) that proves the name over http-01, for one client in a test.

    python -m tests.compose.acme_authority HOST PORT CHALLENGE-ADDRESS AUTHORITY.pem

It checks what matters here, that the right host answers the challenge with the right text, and not the signatures of
requests. It writes its own root to AUTHORITY.pem, and ends with its parent's pipe.
"""

import base64
import hashlib
import json
import secrets
import sys
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import Factory, define
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.compose.certificates import Authority


@define
class State:
    """What the one order of the one client has come to."""

    base: str
    challenge_address: str
    authority: Authority = Factory(Authority.make)
    thumbprint: str = ""
    host: str = ""
    token: str = Factory(lambda: secrets.token_urlsafe(24))
    proven: bool = False
    chain: bytes = b""

    def order(self) -> dict[str, Any]:
        """RFC 8555 §7.1.3."""
        status = "valid" if self.chain else "ready" if self.proven else "pending"
        found: dict[str, Any] = {
            "status": status,
            "expires": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "identifiers": [{"type": "dns", "value": self.host}],
            "authorizations": [f"{self.base}/authorization"],
            "finalize": f"{self.base}/finalize",
        }
        return {**found, "certificate": f"{self.base}/certificate"} if self.chain else found

    def challenge(self) -> dict[str, Any]:
        """RFC 8555 §8.3."""
        status = "valid" if self.proven else "pending"
        return {"type": "http-01", "url": f"{self.base}/challenge", "token": self.token, "status": status}

    def prove(self) -> None:
        """Fetch the challenge as the authority does, from the host's port 80."""
        url = f"http://{self.challenge_address}/.well-known/acme-challenge/{self.token}"
        request = urllib.request.Request(url, headers={"Host": self.host})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  always http
            self.proven = answer.read().decode().strip() == f"{self.token}.{self.thumbprint}"

    def issue(self, csr: bytes) -> None:
        """Sign the client's key for the proven host."""
        key = x509.load_der_x509_csr(csr).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.chain = self.authority.sign(self.host, key) + self.authority.pem


def answer(state: State, path: str, header: dict[str, Any], payload: dict[str, Any]) -> tuple[int, Any, str]:
    """Return status, body and location of the answer to a request."""
    base = state.base
    done: tuple[int, Any, str] = (404, {"type": "urn:ietf:params:acme:error:malformed"}, "")
    match path:
        case "/account":
            state.thumbprint = _thumbprint(header["jwk"])
            done = (201, {"status": "valid"}, f"{base}/account/1")
        case "/order":
            state.host, state.proven, state.chain = payload["identifiers"][0]["value"], False, b""
            done = (201, state.order(), f"{base}/order/1")
        case "/authorization":
            proven = "valid" if state.proven else "pending"
            identifier = {"type": "dns", "value": state.host}
            done = (200, {"status": proven, "identifier": identifier, "challenges": [state.challenge()]}, "")
        case "/challenge":
            state.prove()
            done = (200, state.challenge(), "")
        case "/finalize":
            state.issue(_bytes(payload["csr"]))
            done = (200, state.order(), f"{base}/order/1")
        case "/order/1":
            done = (200, state.order(), "")
        case "/certificate":
            done = (200, state.chain, "")
        case _:
            pass
    return done


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638 §3: the required members only, sorted."""
    required = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in required}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def handler(state: State) -> type[BaseHTTPRequestHandler]:
    """Return the class that serves ``state``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            names = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order", "revokeCert": "revoke"}
            self._send(200, {name: f"{state.base}/{path}" for name, path in names.items()}, "")

        def do_HEAD(self) -> None:
            self._send(200, b"", "")

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            payload = json.loads(_bytes(message["payload"]) or b"{}")
            self._send(*answer(state, self.path, json.loads(_bytes(message["protected"])), payload))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _send(self, status: int, body: Any, location: str) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Replay-Nonce", secrets.token_urlsafe(16))
            self.send_header("Content-Length", str(len(raw)))
            kind = "application/pem-certificate-chain" if isinstance(body, bytes) else "application/json"
            self.send_header("Content-Type", kind)
            # RFC 8555 §7.1: from a challenge up to its authorization.
            self.send_header("Link", f'<{state.base}/authorization>;rel="up"')
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(raw)

    return Handler


def main() -> None:
    """Serve until standard input ends."""
    host, port, challenge_address, file = sys.argv[1:]
    state = State(f"http://{host}:{port}", challenge_address)
    Path(file).write_bytes(state.authority.pem)
    server = ThreadingHTTPServer((host, int(port)), handler(state))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
