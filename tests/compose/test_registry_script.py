"""registry.sh, run by this machine's shell with a registry that notes what it is given."""

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.compose.engine import ROOT
from tests.support.stack import GOOD_PATH
from tests.support.waiting import PATIENCE, until

STUB = """#!/bin/sh
env >"$0.env.new" && mv "$0.env.new" "$0.env"
trap 'exit 0' TERM
while :; do sleep 0.1; done
"""


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
