"""``authsvc-license preflight``: what it takes as images, and when it says that all is well."""

import http.server
import threading
from pathlib import Path
from typing import Any

import pytest

from authsvc.installer.license_store import ToolError
from authsvc.installer.named_images import NamedImage, typed
from authsvc.installer.preflight import collect, rows
from authsvc.installer.server import Server

REGISTRY = "r.test"


def answer(images: list[str], **said: Any) -> dict[str, Any]:
    """Return what the server says of images that are all well."""
    return {"license": None, "warnings": [], "images": [{"image": image, "ok": True, **said} for image in images]}


def check(*found: NamedImage | str, **said: Any) -> tuple[bool, list[tuple[str, Any]]]:
    """Return whether the whole is well, and the reason for each row."""
    named = [typed(one) if isinstance(one, str) else one for one in found]
    result = rows(named, REGISTRY, lambda images: answer(images, **said))
    return result["ok"], [(row["image"], row.get("reason")) for row in result["images"]]


def test_files_among_the_arguments_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that names a file is a file, with or without a telling name; an image of the registry stays one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {a: {image: r.test/app/a:1}}")
    (tmp_path / "list").write_text("r.test/app/b:1\n")
    (tmp_path / "r.test").mkdir()
    (tmp_path / "r.test/app").write_text("not read")

    found = collect(["compose.yaml", "list", "r.test/app", "redis", "r.test/app/a:1"], REGISTRY)

    assert [
        ("r.test/app/a:1", "compose.yaml", 1),
        ("r.test/app/b:1", "list", 1),
        ("r.test/app", None, None),
        ("redis", None, None),
    ] == [(one.text, one.source, one.line) for one in found]


def test_a_typed_word_that_is_not_an_image() -> None:
    """It is wrong usage, before anybody is asked."""
    with pytest.raises(ToolError, match=r"'r.test/\$X': it has a variable in it") as refused:
        collect(["r.test/a/x", "r.test/$X"], REGISTRY)
    assert 2 == refused.value.code


@pytest.mark.parametrize("word", ["missing.yaml", "./missing", "/nowhere/images.txt"])
def test_a_file_that_is_missing(word: str) -> None:
    """A name that can only be a file's is not taken for an image of docker.io."""
    with pytest.raises(ToolError, match=r"cannot read .*: No such file") as refused:
        collect([word], REGISTRY)
    assert 2 == refused.value.code


def test_the_server_does_not_decide_for_the_whole() -> None:
    """A member of its answer that is called as ours does not take its place: it knows nothing of the other rows."""
    assert not rows([typed("r.test/app/a:1")], REGISTRY, lambda _: {"ok": True, "images": [], "warnings": []})["ok"]


@pytest.mark.parametrize(
    "body",
    [
        '{"images": [{"image": [1]}], "warnings": []}',
        '{"images": [5], "warnings": []}',
        '{"images": 5, "warnings": []}',
        '{"images": [{"image": "a", "digest": 5}], "warnings": []}',
        '{"images": [{"image": "a", "reason": ["x"]}], "warnings": []}',
        '{"images": [], "warnings": [], "license": {"id": "x"}}',
        '{"images": [], "warnings": [], "license": [1]}',
        '{"images": [], "warnings": [], "licenses": 5}',
        '{"images": [], "warnings": [], "licenses": [5]}',
        "[" * 100_000,
    ],
)
def test_an_answer_of_another_form(body: str) -> None:
    """It is refused in one sentence, whatever a server that is none of ours sends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the library
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.handle_request, daemon=True).start()
        server = Server(f"127.0.0.1:{listener.server_port}", ("u", "p"), plain_http=True, ca_file=None, environ={})
        with pytest.raises(ToolError, match="is not one of authsvc's preflight"):
            server.preflight(["a"])


def test_the_whole_is_well_only_if_everything_was_checked() -> None:
    """One thing that was not checked, or none that was, makes the whole fail; other registries do not."""
    assert (True, [("r.test/a/x", None), ("redis", "not asked: it comes from docker.io")]) == check(
        "r.test/a/x", "redis"
    )
    assert not check("redis")[0]
    assert not check("r.test/a/x", NamedImage("${X}", "f", 3, "it has a variable"))[0]
    assert not check("r.test/a/x", NamedImage("r.test/a/y", "f", 3, "not looked at", looked_at=False))[0]
    assert not check("r.test/a/x", ok=False)[0]
    assert check("r.test/a/x", ok=None, may_pull=True)[0]  # pulled through: what can be told was told
    assert not check("r.test/a/x", ok=None, may_pull=False)[0]  # the server says that it is of another registry


def test_an_image_that_the_server_leaves_out_was_not_checked() -> None:
    """An answer with fewer images than were asked about is not an answer for the others."""
    result = rows([typed("r.test/a/x"), typed("r.test/a/y")], REGISTRY, lambda images: answer(images[:1]))

    assert (False, [True, False]) == (result["ok"], [row["ok"] for row in result["images"]])


@pytest.mark.parametrize("spelling", ["r.test:443", "R.test", "R.TEST:443"])
def test_another_spelling_of_the_registry(spelling: str) -> None:
    """Docker and podman sign in to another registry there, so it would fail, and the row says what to write."""
    good, [(_, reason)] = check(f"{spelling}/a/x:1")

    assert not good
    assert f"docker and podman take {spelling} for another registry than r.test" in reason


def test_too_many_images() -> None:
    """There is a bound, and other registries do not count towards it."""
    with pytest.raises(ToolError, match="the input names 2001 images; check at most 2000 at a time"):
        check(*(f"r.test/a/x:{number}" for number in range(2001)))
    assert check("r.test/a/x", *(f"redis:{number}" for number in range(2001)))[0]
