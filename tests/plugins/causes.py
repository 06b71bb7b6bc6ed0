"""Says why a test failed: at once when it does, and once more as the last thing of the run.

pytest's own summary at the end cuts the reason off at the width of the terminal, and the sections above it are long.
"""

import pytest

MAX_LINES = 12
"""Lines of a reason; the whole one is in the test's own section."""


def cause_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the message of the exception that a test failed with, or the end of what is known."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longreprtext).strip()
    lines = text.splitlines() or ["no reason given"]
    return "\n    ".join(lines[:MAX_LINES] if crash is not None else lines[-MAX_LINES:])


class Causes:
    """Collects the reasons of failures."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failed: dict[str, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.failed:
            return
        when = getattr(report, "when", "collect")
        name = report.nodeid if when in {"call", "collect"} else f"{report.nodeid} ({when})"
        self._failed[name] = cause = cause_of(report)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.line(f"FAILED {name}\n    {cause}", red=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at the outcome of one test."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Look at a file that cannot be collected."""
        self._note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name every failure with its reason."""
        if self._failed:
            terminalreporter.section(f"{len(self._failed)} failed", red=True)
        for name, cause in self._failed.items():
            terminalreporter.line(f"FAILED {name}\n    {cause}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of pytest's own short summary, in the one process that sees every report."""
    if not hasattr(config, "workerinput"):
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.reportchars = ""
        config.pluginmanager.register(Causes(config), "causes")
