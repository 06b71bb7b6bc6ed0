"""The running stack when its log cannot be written: no token waits for it, none fails, and what is lost is counted."""

import itertools
import os
import re

import pytest

from tests.support.http_client import ask, get_token
from tests.support.load import meanwhile
from tests.support.stack import PATIENT, Stack, short_folder
from tests.support.tenants import make_license, make_team
from tests.support.waiting import until

LINES_OF_A_PIPE = 64 * 1024 // 300
"""Enough lines of the log to fill a pipe."""


@pytest.mark.parametrize("log", ["a full disk", "a pipe that nobody reads"])
def test_no_token_waits_for_the_log(log: str) -> None:
    """Under load, with a log and an export of the audit that cannot be written, all goes on, and a stop is clean."""
    number = itertools.count()
    with short_folder() as folder:
        audit = {"AUTHSVC_AUDIT_BUDGET": "1", "AUTHSVC_AUDIT_EXPORT_DIR": "/dev/null/audit"}
        settings = {"AUTHSVC_REDIS_DEADLINE": PATIENT, **audit}
        stack = Stack(folder, settings=settings, options=("--workers", "2"))
        stack.start()
        make_team(stack, "app", slug="acme")
        license_ = make_license(stack, "app")
        stack.stop()
        file = stack.data_dir / "log" / "serve.log"
        file.unlink()
        reading = -1
        if log == "a full disk":
            file.symlink_to("/dev/full")
        else:
            os.mkfifo(file)
            reading = os.open(file, os.O_RDWR)
        try:
            stack.start()

            def new_decision() -> int:
                return get_token(stack.port, license_.account, f"repository:app/x{next(number)}:pull").status

            with meanwhile(new_decision, threads=4) as tally:
                until(lambda: tally.results.total() > 10 * LINES_OF_A_PIPE, "tokens are issued", 150)
                if log == "a full disk":
                    until(lambda: counted(stack, "authsvc_log_lost_total") > 100, "lost lines are counted")
            assert {200} == set(tally.results)
            assert 0 == stack.stop()
        finally:
            if reading >= 0:
                os.close(reading)
            if stack.process is not None:
                stack.stop()


def counted(stack: Stack, metric: str) -> float:
    """Return the value of a metric without labels."""
    text = ask(stack.inside, "GET", "/metrics").body.decode()
    found = re.search(rf"^{metric} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])
