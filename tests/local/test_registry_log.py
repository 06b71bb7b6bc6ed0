"""Which lines of the registry's log say something; the same under `up` and in a container."""

import re
import subprocess

import pytest

from authsvc.local.registry_log import is_ordinary
from tests.compose.engine import ROOT
from tests.support.waiting import PATIENCE

TIME = 'time="2026-11-28T12:35:02.764984082Z"'
REQUEST = (
    'go.version=go1.19.8 http.request.host="localhost:5000" http.request.id=2611c3b1-259e-4688-a328-0ba6b4d81efb '
    "http.request.method=GET http.request.referer=95a8af3e5da1369d34e1c3e532c76ba1 http.request.remoteaddr=127.0.0.1 "
    "http.request.uri=/v2/app/x/manifests/1 http.request.useragent="
)


def warning(reason: str) -> str:
    """Return a line of distribution about a token."""
    return f'{TIME} level=warning msg="error authorizing context: {reason}" {REQUEST} vars.name=app/x vars.reference=1'


def failed(code: str, status: int) -> str:
    """Return a line of distribution about an answer."""
    return (
        f'{TIME} level=error msg="response completed with error" auth.user.name="member:x" err.code={code} '
        f'err.detail="unknown tag=1" err.message="x" {REQUEST} http.response.contenttype="application/json" '
        f"http.response.duration=1.1ms http.response.status={status} http.response.written=88 vars.name=app/x"
    )


ORDINARY = [
    warning("authorization token required"),
    failed("unauthorized", 401),
    failed('"manifest unknown"', 404),
    failed('"blob unknown"', 404),
    failed('"name unknown"', 404),
]
TELLING = [
    warning("malformed token"),
    warning("insufficient scope"),
    failed('"blob upload invalid"', 404),
    failed('"manifest invalid"', 400),
    failed("unknown", 500),
    failed('"manifest unknown"', 500),
    failed("denied", 403),
    f'{TIME} level=error msg="filesystem: no space left on device" {REQUEST}',
    f'{TIME} level=fatal msg="unable to configure authorization (token)"',
    "panic: runtime error",
    "",
]


@pytest.mark.parametrize(("lines", "left_out"), [(ORDINARY, True), (TELLING, False)])
def test_only_ordinary_answers_are_left_out(lines: list[str], *, left_out: bool) -> None:
    """A challenge, and a question for what is not there; whatever else it says stays."""
    for line in lines:
        assert is_ordinary(line.encode()) is left_out, line


def test_a_container_leaves_out_the_same() -> None:
    """registry.sh has the same rules for awk."""
    script = (ROOT / "registry-config/registry.sh").read_text()
    found = re.search(r"awk '(.*?)'", script, re.DOTALL)
    assert found is not None
    lines = "".join(f"{line}\n" for line in (*ORDINARY, *TELLING))
    ran = subprocess.run(["awk", found[1]], input=lines, capture_output=True, text=True, check=True, timeout=PATIENCE)

    assert ran.stdout.splitlines() == TELLING
