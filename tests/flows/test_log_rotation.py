"""The server's log while it runs: a log of 10 MiB is put aside, and the workers go on in the new one."""

from pathlib import Path

from authsvc.processes.log_rotation import MAX_LOG, OLDER
from tests.support.http_client import get_token
from tests.support.stack import Stack, running_stack
from tests.support.tenants import make_license, make_team
from tests.support.waiting import until


def grown(log: Path, mark: str) -> None:
    """Let a log grow by more than it may, as a burst of requests does."""
    with log.open("ab") as file:
        file.write(b"\n".join([mark.encode(), *[b"x" * 1023] * (MAX_LOG // 1024 + 1), b""]))


def test_the_log_of_the_server_is_put_aside_while_it_runs() -> None:
    """Five files at most; requests after that are in the new one, and none is lost."""
    with running_stack(options=("--workers", "2")) as stack:
        make_team(stack, "app", slug="acme")
        license_ = make_license(stack, "app")
        log = stack.data_dir / "log" / "serve.log"
        asked: list[str] = []

        def ask() -> None:
            answer = get_token(stack.port, license_.account, "repository:app/x:pull")
            assert answer.status == 200
            asked.append(answer.headers["x-request-id"])

        for number in range(OLDER + 2):
            ask()
            grown(log, f"mark {number}")
            until(lambda: log.stat().st_size < MAX_LOG, "the log is put aside")
        until(lambda: _new_worker_lines(stack, ask) >= 1, "whoever is asked writes to the new file")

        files = sorted(path.name for path in log.parent.glob("serve.log*"))
        assert files == ["serve.log", *(f"serve.log.{number}" for number in range(1, OLDER + 1))]
        assert b"mark 5\n" in (log.parent / "serve.log.1").read_bytes()
        kept = b"".join(path.read_bytes() for path in log.parent.glob("serve.log*"))
        until(lambda: asked[-1].encode() in log.read_bytes(), "the last line is written")
        # A worker looks for the new file every two seconds only: a line may be in the one before, and that of the third
        # request in one that is no longer kept.
        lost = [one for one in asked[3:-1] if one.encode() not in kept + log.read_bytes()]
        assert not lost


def _new_worker_lines(stack: Stack, ask: object) -> int:
    """Ask once more, and return from how many processes the new log is held open."""
    assert callable(ask)
    ask()
    log = (stack.data_dir / "log" / "serve.log").stat().st_ino
    holding = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            holding += "authsvc.server.worker" in (process / "cmdline").read_text() and log == (
                (process / "fd" / "2").stat().st_ino
            )
        except OSError:
            continue
    return holding
