"""A worker evaluates passwords in threads of their own: never where it answers requests."""

import base64
import socket
import threading
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from authsvc.credentials import password
from authsvc.logs import make_logger
from authsvc.metrics.catalogue import SlotLayout
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.settings import load
from authsvc.wiring import server as server_module
from authsvc.wiring.server import Counting, Hashing, Live, running_worker
from tests.support.inline_executor import InlineExecutor
from tests.support.installation import TEAM, Installation, installed
from tests.support.portal_server import Browser, PortalServer
from tests.support.redis_server import RedisServer, patient, redis_server

HOST = "localhost:5000"


class Argon2Threads:
    """Stands for Argon2id, and notes in which threads it is used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take its place."""
        self.used: list[threading.Thread] = []
        original = Argon2id
        noted = self.used.append

        class Noting:
            """Argon2id that says where it runs."""

            def __init__(self, **costs: Any) -> None:
                """Take what it costs."""
                self._inner = original(**costs)

            def derive_phc_encoded(self, text: bytes) -> str:
                """Return a hash."""
                noted(threading.current_thread())
                return self._inner.derive_phc_encoded(text)

            @staticmethod
            def verify_phc_encoded(text: bytes, phc: str) -> None:
                """Check a hash."""
                noted(threading.current_thread())
                original.verify_phc_encoded(text, phc)

        monkeypatch.setattr(password, "Argon2id", Noting)


async def evaluated(house: Installation, redis: RedisServer, threads: Argon2Threads, folder: Path, email: str) -> int:
    """Have a worker evaluate passwords in every way there is; return how many, none of which held the loop."""
    house.now = datetime.now(UTC)
    link = (await house.links.invite(email, TEAM, "viewer", (), house.operation())).reveal()
    texts = {"AUTHSVC_PUBLIC_URL": f"http://{HOST}", "AUTHSVC_REDIS_URL": redis.url.reveal()}
    settings = load({**texts, "AUTHSVC_SECRETS_DIR": str(folder), "AUTHSVC_AUDIT_EXPORT_DIR": str(folder)})
    metrics = SharedMetrics.make(1, SlotLayout())
    counting, log = Counting(metrics, metrics.slot(0)), StringIO()
    edge, inside = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    port = edge.getsockname()[1]
    hashing = Hashing(1, b"g" * 32)
    for one in (edge, inside):
        one.setblocking(False)
    async with (
        running_worker(settings, Live(), ListeningSockets(edge, inside), make_logger("info", log), hashing, counting),
        ClientSession(cookie_jar=DummyCookieJar()) as session,
    ):
        before = len(threads.used)
        basic = base64.b64encode(f"{email}:not theirs at all".encode()).decode()
        asked = session.get(
            f"http://127.0.0.1:{port}/auth/token?service={HOST}", headers={"Authorization": f"Basic {basic}"}
        )
        async with asked as answer:
            assert answer.status == 401, await answer.text()
        portal: Any = PortalServer(house, port, log, session, None, None, settings.public_url, ())  # type: ignore[arg-type]
        browser = Browser(portal)
        form = await browser.get("/portal/sign-in")
        wrong = await browser.submit(form, "/portal/sign-in", email=email, password="another wrong one")
        assert wrong.status == 401
        page = await browser.get(f"/portal/join/{link}")
        chosen = "five unrelated words of a novel"
        joined = await browser.submit(page, "/portal/join", password=chosen, again=chosen)
        assert joined.status == 303, joined.text
    used = threads.used[before:]
    assert threading.current_thread() not in used, "a password was evaluated where requests are answered"
    return len(used)


async def test_a_worker_hashes_beside_its_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the token endpoint, at the portal's sign-in, and when a new password is chosen; and the test tells."""
    threads = Argon2Threads(monkeypatch)
    async with redis_server() as redis:
        connection = patient(redis)
        async with installed(connection) as house:
            assert await evaluated(house, redis, threads, tmp_path, "kim@acme.test") == 3
            monkeypatch.setattr(server_module, "CountedThreads", lambda *_: InlineExecutor())
            with pytest.raises(AssertionError, match="a password was evaluated where requests are answered"):
                await evaluated(house, redis, threads, tmp_path, "jo@acme.test")
        await connection.close()
