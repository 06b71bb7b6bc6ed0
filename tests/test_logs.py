"""The log: bounded lines, and a process that says why it ends."""

import io
import json
import subprocess
import sys
from itertools import product
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING, getLevelName
from typing import Any

import pytest

from authsvc.log_line import MAX_LINE
from authsvc.logs import make_logger
from tests.support.waiting import PATIENCE

CRASHES = """
from authsvc.errors import SetupRefused
from authsvc.logs import server_log
with server_log("info", print) as logger:
    logger.info("it.begins")
    raise {error}
"""


def test_a_line_is_bounded() -> None:
    """Whatever a client makes us say, a line has at most 8 KiB, is JSON, and says what is missing."""
    log = io.StringIO()
    make_logger("info", log).info("token.issued", refused=[f"repository:x:{n}" for n in range(10_000)], subject="s")
    line = log.getvalue()

    assert len(line) <= MAX_LINE
    facts = json.loads(line)
    assert ("s", 10_000) == (facts["subject"], len(facts["refused"]) + facts["cut"]["refused"])


@pytest.mark.parametrize("lowest", ["debug", "warning"])
def test_a_line_does_not_depend_on_how_it_is_written(lowest: str) -> None:
    """An event with its level as an argument is the line that the method of this level writes, or none."""
    facts: dict[str, Any] = {"subject": "s", "asked": ["a", "b"], "reason": "ä", "count": 3}
    for level, bound, arguments in product((DEBUG, INFO, WARNING, ERROR, CRITICAL), ({}, {"b": 1}), ((), ("x",))):
        lines, event = [], "token.%s" if arguments else "token.issued"
        for write in ("method", "level"):
            log = io.StringIO()
            logger = make_logger(lowest, log).bind(**bound)
            if write == "method":
                getattr(logger, getLevelName(level).lower())(event, *arguments, **facts)
            else:
                logger.log(level, event, *arguments, **facts)
            lines.append({**json.loads(log.getvalue() or "{}"), "at": None})
        assert lines[0] == lines[1]
        assert (len(lines[0]) > 1) == (lowest == "debug" or level >= WARNING)


def test_a_crash_is_logged() -> None:
    """A fault that ends a process is its last line, with the trace, and an exit code."""
    ran = subprocess.run(
        (sys.executable, "-c", CRASHES.format(error="ValueError('a fault of ours')")),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]

    assert (1, ["it.begins", "process.failed"]) == (ran.returncode, [line["event"] for line in lines])
    assert lines[1]["exception"].endswith("ValueError: a fault of ours")


def test_a_refusal_is_left_to_the_command_line() -> None:
    """What is wrong with the settings is said to whoever has typed the command."""
    ran = subprocess.run(
        (sys.executable, "-c", CRASHES.format(error="SetupRefused('no')")), capture_output=True, check=False, timeout=60
    )

    assert b"SetupRefused: no" in ran.stderr.splitlines()[-1]
    assert b"process.failed" not in ran.stderr


def test_a_process_ends_though_nothing_reads_its_log() -> None:
    """A worker whose standard error is a full pipe says what it can and ends."""
    code = CRASHES.format(error="ValueError('x' * 9000)").replace("it.begins", "it.begins' * 1000 + '")
    code = code.replace("logger.info(", "for _ in range(200): logger.info(")
    with subprocess.Popen((sys.executable, "-c", code), stderr=subprocess.PIPE) as process:
        assert 1 == process.wait(60)
