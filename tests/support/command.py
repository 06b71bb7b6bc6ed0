"""The ``authsvc`` command inside the test's own process: the same code without the start of an interpreter."""

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

from authsvc.cli.main import main
from tests.support.stack import Ran


def call(*arguments: str, environ: Mapping[str, str | None] | None = None, stdin: str | bytes = "") -> Ran:
    """Run one command; an exception that reaches the top fails the test."""
    result = CliRunner(catch_exceptions=False).invoke(main, list(arguments), input=stdin, env=dict(environ or {}))
    return Ran(result.exit_code, result.stdout, result.stderr)


def sentence(ran: Ran, code: int) -> str:
    """Return the one sentence with which a command was refused; nothing else was said, and nothing on stdout."""
    assert (ran.code, ran.out) == (code, ""), ran
    (text,) = ran.err.splitlines()
    assert text.startswith("authsvc: "), ran
    return text.partition(": ")[2]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return every file and folder with its mode and content, to see that nothing changed."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
        if not path.is_socket()
    }
