"""Fails a CI run in which a test skips that ``tests/allowed_skips.txt`` does not list with its reason."""

import os
from pathlib import Path

import pytest

_COMMENT = "#"
_SEPARATOR = " | "


def parse_allowed(text: str) -> dict[str, str]:
    """Read the list of allowed skips into test id → reason; a line without a reason is refused."""
    allowed = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith(_COMMENT):
            continue
        test, separator, reason = line.partition(_SEPARATOR)
        if not separator or not test.strip() or not reason.strip():
            raise pytest.UsageError(f"allowed_skips.txt, line {number}: expected 'TEST{_SEPARATOR}REASON'")
        allowed[test.strip()] = reason.strip()
    return allowed


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Take the reason that a skip was made with out of pytest's report."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return text.removeprefix("Skipped: ")


class SkipGate:
    """Collects the skips that are not allowed and ends the run as failed if there are any."""

    def __init__(self, allowed: dict[str, str]) -> None:
        self._allowed = allowed
        self._refused: dict[str, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # An expected failure did run, and strict mode makes sure that it failed.
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = reason_of(report)
        if self._allowed.get(report.nodeid) != reason:
            self._refused[report.nodeid] = reason

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at the outcome of one test."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Look at a file: a whole one can skip while it is collected."""
        self._note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a run that would have passed into a failed one."""
        if self._refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name every skip that made the run fail."""
        if not self._refused:
            return
        terminalreporter.section("skips that tests/allowed_skips.txt does not list", red=True)
        for test, reason in sorted(self._refused.items()):
            terminalreporter.line(f"{test}{_SEPARATOR}{reason}")


def pytest_configure(config: pytest.Config) -> None:
    """Put the gate in place where it counts: on CI, in the one process that sees every report."""
    if os.environ.get("CI") == "true" and not hasattr(config, "workerinput"):
        allowed = parse_allowed(Path(config.rootpath, "tests/allowed_skips.txt").read_text(encoding="utf-8"))
        config.pluginmanager.register(SkipGate(allowed), "skip-gate")
