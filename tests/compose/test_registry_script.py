"""registry.sh, run by this machine's shell with a registry that notes what it is given."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attrs import frozen

from tests.compose.engine import ROOT
from tests.support.stack import GOOD_PATH, Ran, run
from tests.support.waiting import PATIENCE, until

STUB = """#!/bin/sh
env >"$0.env.new" && mv "$0.env.new" "$0.env"
trap 'exit 0' TERM
while :; do sleep 0.1; done
"""

COLLECTING = """#!/bin/sh
if [ "$1" = garbage-collect ]; then
    echo "collected: $*"
    exit
fi
trap 'exit 0' TERM
while :; do sleep 0.1; done
"""
"""Serves, or collects at once, and says with which arguments."""

SOLE = {"AUTHSVC_S3_SOLE_WRITER": "yes"}


@frozen
class Container:
    """The folders of a container, in which registry.sh finds itself.

    Attributes:
        folder: with the script, its configuration and the images.
        name: of the registry that serves.
    """

    folder: Path
    name: str = "registry"

    def prepare(self, stop_within: int = 120) -> None:
        """Write what the script needs."""
        binary = self.folder / "registry"
        binary.write_text(COLLECTING)
        binary.chmod(stat.S_IRWXU)
        (self.folder / "serves").write_text(self.name)
        script = (ROOT / "registry-config/registry.sh").read_text()
        script = script.replace("/var/lib/registry", str(self.images)).replace("=120", f"={stop_within}")
        (self.folder / "registry.sh").write_text(script)

    @property
    def images(self) -> Path:
        """Where the images are."""
        return self.folder / "images"

    @property
    def mode(self) -> str:
        """What the registry says that it is."""
        file = self.images / ".gc/mode"
        return file.read_text().strip() if file.exists() else ""

    @contextmanager
    def running(self, *task: str) -> Iterator[subprocess.Popen[str]]:
        """Run a task of the script until the end of the block."""
        with subprocess.Popen(
            self._command(self.name, *task),
            env=self._environ({}),
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def collect(self, *options: str, environ: dict[str, str] | None = None) -> Ran:
        """Collect garbage, as the service gc does."""
        command = self._command("gc", "gc", *options)
        return run(*command, environ=self._environ(environ or {}), cwd=self.folder)

    def _command(self, name: str, *task: str) -> tuple[str, ...]:
        return ("sh", str(self.folder / "registry.sh"), name, str(self.folder), *task)

    def _environ(self, more: dict[str, str]) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{GOOD_PATH}", **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "authsvc,"),
        ({"NO_PROXY": "minio,10.0.0.0/8", "no_proxy": "other"}, "authsvc,minio,10.0.0.0/8"),
        ({"no_proxy": "minio"}, "authsvc,minio"),
    ],
)
def test_events_go_past_the_proxy(tmp_path: Path, given: dict[str, str], expected: str) -> None:
    """The proxy of docker's config.json is for a bucket; authsvc is reached without it. SIGTERM ends both cleanly."""
    binary = tmp_path / "registry"
    binary.write_text(STUB)
    binary.chmod(stat.S_IRWXU)
    (tmp_path / "serves").write_text("registry-s3")
    script = (ROOT / "registry-config/registry.sh").read_text().replace("/var/lib/registry", str(tmp_path / "images"))
    (tmp_path / "registry.sh").write_text(script)
    environ = {"PATH": f"{tmp_path}:{GOOD_PATH}", "HTTP_PROXY": "http://127.0.0.1:1", **given}
    command = ["sh", str(tmp_path / "registry.sh"), "registry-s3", str(tmp_path)]
    with subprocess.Popen(command, env=environ, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        try:
            until((tmp_path / "registry.env").exists, "the registry runs")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    seen = dict(line.split("=", 1) for line in (tmp_path / "registry.env").read_text().splitlines() if "=" in line)
    assert (seen["NO_PROXY"], seen["no_proxy"]) == (expected, expected)
    assert seen["HTTP_PROXY"] == "http://127.0.0.1:1"


def test_a_bucket_may_have_other_registries(tmp_path: Path) -> None:
    """The lock is seen on one host, so nothing is collected before somebody says that no other registry writes."""
    container = Container(tmp_path, "registry-s3")
    container.prepare()
    refused = [container.collect(environ={"AUTHSVC_S3_SOLE_WRITER": word}) for word in ("", "no")]
    assert [ran.code for ran in refused] == [2, 2]
    assert all("AUTHSVC_S3_SOLE_WRITER=yes" in ran.err and not ran.out for ran in refused)
    assert not container.images.exists()

    with container.running():
        until(lambda: container.mode == "read-write", "the registry runs")
        looked, told = container.collect("--dry-run"), container.collect(environ=SOLE)
    configuration = tmp_path / "read-only.yml"
    assert (looked.code, looked.out) == (0, f"collected: garbage-collect --dry-run {configuration}\n")
    assert (told.code, told.out) == (0, f"collected: garbage-collect {configuration}\n")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        *((option, "destroy images") for option in ("-m", "-m=1", "-dm", "--delete-untagged")),
        *((f"--delete-untagged={word}", "destroy images") for word in ("true", "1", "T", "TRUE")),
        *((option, "unknown option") for option in ("--dry-run=false", "other.yml", "-h", "")),
    ],
)
def test_an_option_that_may_destroy_images_is_refused(tmp_path: Path, option: str, said: str) -> None:
    """In every spelling that the registry takes for true; and what is not known is not passed on."""
    container = Container(tmp_path)
    container.prepare()
    ran = container.collect("--dry-run", option)

    assert (2, "") == (ran.code, ran.out)
    assert said in ran.err


def test_a_registry_on_a_disk_needs_no_word(tmp_path: Path) -> None:
    """The lock is beside the images. Afterwards the registry writes again, and one collection may follow another."""
    container = Container(tmp_path)
    container.prepare()
    with container.running():
        until(lambda: container.mode == "read-write", "the registry runs")
        assert [container.collect().code for _ in range(2)] == [0, 0]
        until(lambda: container.mode == "read-write", "the registry writes again")


def test_an_earlier_word_is_not_believed(tmp_path: Path) -> None:
    """A registry that was read-only a moment ago may be about to write."""
    container = Container(tmp_path)
    container.prepare(stop_within=1)
    (container.images / ".gc").mkdir(parents=True)
    (container.images / ".gc/mode").write_text("read-only\n")

    ran = container.collect()

    assert (ran.code, ran.out) == (1, "")
    assert "not read-only after 1 s, so nothing was touched" in ran.err


def test_read_only_for_a_collection_elsewhere(tmp_path: Path) -> None:
    """As long as the command runs, however it ends; and no collection runs here meanwhile."""
    container = Container(tmp_path, "registry-s3")
    container.prepare()
    with container.running():
        until(lambda: container.mode == "read-write", "the registry runs")
        with container.running("read-only") as holder:
            assert holder.stderr is not None
            said = [holder.stderr.readline() for _ in range(2)]
            assert container.mode == "read-only"
            second = container.collect(environ=SOLE)
            holder.kill()
            until(lambda: container.mode == "read-write", "the registry writes again")
        with container.running("read-only") as holder:
            until(lambda: container.mode == "read-only", "the registry is read-only again")
            holder.terminate()
            assert holder.wait(PATIENCE) == 0
            until(lambda: container.mode == "read-write", "the registry writes again")

    assert said[-1] == "gc: the registry is read-only until this ends\n"
    assert (second.code, second.out) == (1, "")
    assert "another garbage collection is running" in second.err
