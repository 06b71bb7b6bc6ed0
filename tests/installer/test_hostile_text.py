"""No license file and no server writes to the terminal of who uses the tools."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typing_extensions import override

from tests.installer.conftest import Tool
from tests.installer.test_page import commands
from tests.support.license_files import FACTS, make_file, put_file

HOSTILE = "a\x1b]0;x\x07\x9b2J\u202eb\u2066c\x7f\nd"
SHOWN = r"a\u001b]0;x\u0007\u009b2J\u202eb\u2066c\u007f\nd"
COMMANDS = sorted(set(commands()) - {"kubelet-provider"})


def hostile_file(path: Path, registry: str, /, **changes: object) -> Path:
    """Write a file with such text in every field that may have any, and in one that nobody knows."""
    put_file(path, registry=registry, contact=HOSTILE, repositories=(HOSTILE,), fields={HOSTILE: HOSTILE}, kid=HOSTILE)
    body = json.loads(path.read_text())
    body["license"].update({f"unknown{HOSTILE}": HOSTILE, **changes})
    path.write_text(json.dumps(body))
    return path


class Server(BaseHTTPRequestHandler):
    """Answers every request with such text."""

    answer: dict[str, object]
    status: int

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))  # else the client may be reset before it has read
        body = json.dumps(self.answer).encode()
        self.send_response(self.status, "no")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


IMAGE = {"image": HOSTILE, "may_pull": True, "exists": True, "ok": False, "digest": HOSTILE, "reason": HOSTILE}
YES = {
    "images": [IMAGE],
    "warnings": [{"code": "x", "message": HOSTILE}],
    "license": dict.fromkeys(("id", "app", "customer", "expires_at"), HOSTILE),
}
NO = {"errors": [{"code": "DENIED", "message": HOSTILE}]}


@pytest.fixture(params=[(200, YES), (401, NO)], ids=["answer", "refusal"])
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a hostile server on this machine, and return its registry's name."""
    status, answer = request.param
    handler = type("Hostile", (Server,), {"status": status, "answer": answer})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def printed(tool: Tool, *words: str | Path) -> str:
    """Run a command and return all that it printed, which is printable line by line."""
    ran = tool(*words)
    assert "Traceback" not in ran.err
    assert all(line.isprintable() for line in f"{ran.out}\n{ran.err}".split("\n")), (words, ran)
    return ran.out + ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(tool: Tool, tmp_path: Path, registry: str, name: str) -> None:
    """Every command, as text and as JSON, with what a file and what a server says."""
    options = {option for action in commands()[name]._actions for option in action.option_strings}
    file = hostile_file(tmp_path / "a.json", registry, expires_at="2026-11-28T00:00:00Z")
    images = (f"{registry}/myapp/worker:1",) if name == "preflight" else ()
    online = ("--online", "--plain-http") if "--online" in options else ("--plain-http",) if name == "preflight" else ()

    said = printed(tool, name, *online, file, *images)
    if "--json" in options:
        said += printed(tool, name, *online, "--json", file, *images)
    if name in {"show", "preflight"}:
        assert SHOWN in said


def test_other_fields(tool: Tool, tmp_path: Path) -> None:
    """A field that these tools use is refused when it is not printable, with a printable sentence."""
    for name in ("id", "app", "customer", "type", "registry", "registry_token", "expires_at"):
        file = hostile_file(tmp_path / f"{name}.json", "r.test", **{name: HOSTILE})
        assert f"this is not a license file: {name!r} is missing or no text" in printed(tool, "show", file)


def test_a_name_of_a_file(tool: Tool, helper: Tool, home: Path) -> None:
    """A file's own name may be hostile, too."""
    folder = home / ".config/authsvc/licenses"
    folder.mkdir(parents=True)
    (folder / "a\x9b\u202e.json").write_text(make_file())

    said = printed(helper, "get")
    ran = helper("get", stdin=FACTS["registry"])
    assert "no credentials server URL" in said
    assert r"a\u009b\u202e.json: no key of the vendor is here" in ran.err
    assert all(line.isprintable() for line in ran.err.split("\n"))
