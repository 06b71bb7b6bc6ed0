"""The events of real registries, with our configuration: what they send, how often, and what they print about it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, frozen
from typing_extensions import override

from authsvc.issuance import ISSUER
from authsvc.setup.render import EventsValues
from authsvc.spec.claims import Access, Claims
from authsvc.spec.registry_event import NOTIFICATION_PATH, RegistryEvent, parse_notification
from tests.support.builders import SERVICE
from tests.support.oci import INDEX, MANIFEST, Image, digest_of, index_of
from tests.support.real_registry import INSTALLED, TRIXIE, RealRegistry, Reply, running
from tests.support.registry_rules import real_now
from tests.support.waiting import until

BEARER = "5ec2e7" * 10 + "beef"
IMAGE = Image(b"of events")
LAYER = digest_of(IMAGE.layer)


@define
class Receiver:
    """Takes notifications, and answers the first ones of each event with an error if it is told to.

    Attributes:
        failures: how many attempts of each event are answered 503.
        attempts: of each event, by id.
        events: those that were answered 200, in order.
        headers: of every request.
    """

    failures: int = 0
    attempts: dict[str, int] = Factory(dict)
    events: list[RegistryEvent] = Factory(list)
    headers: list[dict[str, str]] = Factory(list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status of the answer."""
        assert path == NOTIFICATION_PATH
        self.headers.append(headers)
        parsed = parse_notification(body)
        assert parsed.unusable == ()
        (event,) = parsed.events
        self.attempts[event.id] = self.attempts.get(event.id, 0) + 1
        if self.attempts[event.id] <= self.failures:
            return 503
        self.events.append(event)
        return 200


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    """Yield the address at which ``receiver`` takes notifications."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.take(self.path, dict(self.headers), body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{NOTIFICATION_PATH}"
        finally:
            server.shutdown()
            thread.join()


@frozen
class Customer:
    """Somebody with a token for everything, at a registry whose proxy names the client."""

    registry: RealRegistry
    token: str

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """Return the answer to one request, which is not refused."""
        given = {"X-Forwarded-For": "203.0.113.7", "User-Agent": "caf\u00e9/1.0"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.registry.ask(method, path, self.token, body=body, headers=given)
        assert reply.status < 400, reply
        return reply

    def push(self, tag: str) -> None:
        """Upload the image."""
        for blob in (IMAGE.layer, IMAGE.config):
            place = self.ask("POST", "/v2/acme/app/blobs/uploads/").headers["location"]
            self.ask("PUT", f"{place}&digest={digest_of(blob)}", blob)
        self.ask("PUT", f"/v2/acme/app/manifests/{tag}", IMAGE.manifest, Content_Type=MANIFEST)


@contextmanager
def customer(binary: Path, receiver: Receiver) -> Iterator[Customer]:
    """Yield a customer of a registry that notifies ``receiver``."""
    with listening(receiver) as url, running(binary, EventsValues(url, BEARER)) as registry:
        now = real_now()
        access = tuple(Access("repository", name, ("delete", "pull", "push")) for name in ("acme/app", "acme/other"))
        claims = Claims(ISSUER, "license:L1,L2", SERVICE, now, now + timedelta(minutes=5), "t1", access)
        yield Customer(registry, registry.root.leaf(now).sign(claims.to_json()))


BINARIES = pytest.mark.parametrize("binary", [INSTALLED, TRIXIE], ids=["2.8.2", "2.8.3"])


@BINARIES
def test_what_is_sent(binary: Path) -> None:
    """Each push, pull, mount and delete is one event, with the subject of the token; what is not downloaded is none."""
    receiver = Receiver()
    with customer(binary, receiver) as somebody:
        ask = somebody.ask
        somebody.push("1.0")
        ask("PUT", "/v2/acme/app/manifests/all", index_of(IMAGE.manifest), Content_Type=INDEX)
        ask("HEAD", "/v2/acme/app/manifests/1.0", Accept=MANIFEST)
        ask("GET", "/v2/acme/app/manifests/1.0", Accept=MANIFEST)
        ask("GET", "/v2/acme/app/manifests/1.0", Accept=MANIFEST, If_None_Match=f'"{IMAGE.digest}"')
        ask("GET", f"/v2/acme/app/manifests/{IMAGE.digest}", Accept=MANIFEST)
        ask("GET", f"/v2/acme/app/blobs/{LAYER}", Range="bytes=0-9")
        ask("POST", f"/v2/acme/other/blobs/uploads/?mount={LAYER}&from=acme/app")
        ask("GET", "/v2/acme/app/tags/list")
        ask("DELETE", f"/v2/acme/app/manifests/{IMAGE.digest}")
        until(lambda: len(receiver.events) >= 11, "the last event has come")

    blob, layer_bytes, manifest_bytes = "application/octet-stream", len(IMAGE.layer), len(IMAGE.manifest)
    seen = [(e.action, e.method, e.media_type, e.tag, e.size, e.digest) for e in receiver.events]
    assert seen == [
        ("push", "PUT", blob, None, layer_bytes, LAYER),
        ("push", "PUT", blob, None, len(IMAGE.config), digest_of(IMAGE.config)),
        ("push", "PUT", MANIFEST, "1.0", manifest_bytes, IMAGE.digest),
        ("push", "PUT", INDEX, "all", len(index_of(IMAGE.manifest)), digest_of(index_of(IMAGE.manifest))),
        ("pull", "HEAD", MANIFEST, "1.0", manifest_bytes, IMAGE.digest),
        ("pull", "GET", MANIFEST, "1.0", manifest_bytes, IMAGE.digest),
        ("pull", "GET", MANIFEST, None, manifest_bytes, IMAGE.digest),
        ("pull", "GET", blob, None, layer_bytes, LAYER),
        ("mount", "POST", blob, None, layer_bytes, LAYER),
        ("delete", "DELETE", None, None, None, IMAGE.digest),
        ("delete", "DELETE", None, "1.0", None, None),
    ]
    mounted = receiver.events[8]
    assert (mounted.repository, mounted.from_repository) == ("acme/other", "acme/app")
    assert {(e.subject, e.address, e.user_agent) for e in receiver.events} == {
        ("license:L1,L2", "203.0.113.7", "caf\ufffd/1.0")
    }
    assert len({e.id for e in receiver.events}) == len(receiver.events)
    assert len({e.instance_id for e in receiver.events}) == 1
    assert {headers["Authorization"] for headers in receiver.headers} == {f"Bearer {BEARER}"}


@BINARIES
def test_refused_events_come_again_in_order(binary: Path) -> None:
    """An event that is not taken is sent again with its id, before the next one; its bearer is never printed."""
    receiver = Receiver(failures=4)
    with customer(binary, receiver) as somebody:
        somebody.push("1.0")
        until(lambda: len(receiver.events) >= 3, "every event has come")
        assert [e.tag for e in receiver.events] == [None, None, "1.0"]
        assert set(receiver.attempts.values()) == {5}
        # It says that it could not deliver, and where to.
        assert NOTIFICATION_PATH in somebody.registry.log
        assert BEARER[:12] not in somebody.registry.log
