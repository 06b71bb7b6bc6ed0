"""The certificate that clients are shown is a part of /readyz and a metric: of a real nginx that does TLS."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_client import ask
from tests.support.ports import free_port
from tests.support.proxy_in_front import proxy_in_front
from tests.support.stack import PATIENT, Stack, short_folder
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority
from tests.support.waiting import until


@pytest.fixture(scope="module")
def authority() -> Iterator[UpstreamAuthority]:
    """Yield an authority that the server trusts."""
    with short_folder() as folder:
        yield UpstreamAuthority.make(folder)


def looked_at(stack: Stack) -> dict[str, str | None] | None:
    """Return the part of ``/readyz`` once there was a look."""
    part: dict[str, str | None] = ask(stack.inside, "GET", "/readyz").json()["tls_certificate"]
    return part if part["not_after"] else None


def seen(authority: UpstreamAuthority, shown: CertificateFiles) -> tuple[dict[str, str | None], dict[str, float], str]:
    """Return the part of ``/readyz``, the metrics and the log of an installation behind a proxy that shows it."""
    port = free_port()
    environ = {
        "AUTHSVC_REDIS_DEADLINE": PATIENT,
        "AUTHSVC_TLS_ENDPOINT": f"127.0.0.1:{port}",
        "SSL_CERT_FILE": str(authority.file),
    }
    options = ("--workers", "1", "--public-url", f"https://localhost:{port}")
    with short_folder() as folder:
        stack = Stack(folder, settings=environ, options=options)
        with proxy_in_front(port, stack.port, shown, {}):
            try:
                stack.start()
                ready = until(lambda: looked_at(stack), "the certificate was looked at")
                metrics = ask(stack.inside, "GET", "/metrics").body.decode()
            finally:
                if stack.process is not None:
                    stack.stop()
        log = Path(stack.data_dir / "log/serve.log").read_text()
    found = re.findall(r"^authsvc_tls_certificate_(\w+) (\S+)$", metrics, re.MULTILINE)
    return ready, {name: float(value) for name, value in found}, log


def test_a_good_certificate(authority: UpstreamAuthority) -> None:
    """Its end is told, and nothing is logged."""
    ready, metrics, log = seen(authority, authority.issue(days=90))

    assert ("ok", None) == (ready["status"], ready["detail"])
    assert 89 < metrics["expiry_seconds"] / 86400 < 91
    assert metrics["wrong"] == 0
    assert "tls.certificate" not in log


def test_one_for_another_host(authority: UpstreamAuthority) -> None:
    """It is a number for the alarm, and a line in the log."""
    ready, metrics, log = seen(authority, authority.issue("other.test", days=90))
    (event,) = [json.loads(line) for line in log.splitlines() if "tls.certificate" in line]

    assert ready["status"] == event["status"] == "wrong"
    assert event["detail"].startswith("it is for other.test and not for localhost, so every client refuses it")
    assert metrics["wrong"] == 1
