"""A real registry that reports what happens to its tags, and what a deletion reads of that."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define, field
from typing_extensions import override

from authsvc.images.tag_changes import TagChange
from authsvc.setup.render import EventsValues
from authsvc.spec.registry_event import parse_notification
from authsvc.store.tag_events import changes_in
from tests.support.real_registry import RealRegistry, running
from tests.support.waiting import PATIENCE, becomes

REPORT_PATIENCE = 20.0
"""Seconds after which a report does not come any more."""


@define
class TagReports:
    """What was reported, in order, by repository; it implements :class:`authsvc.registries.deletion.TagEvents`.

    Attributes:
        changes: everything that was reported.
        silent: whether a deletion is given nothing, as while the registry's reports do not arrive.
    """

    changes: dict[str, list[TagChange]] = field(factory=dict)
    silent: bool = False

    async def position(self, repository: str) -> str:
        """Return how many changes were reported."""
        return str(len(self.changes.get(repository, [])))

    async def since(
        self, repository: str, position: str, complete: Callable[[tuple[TagChange, ...]], bool]
    ) -> tuple[TagChange, ...] | None:
        """Return what was reported since, when it is complete."""
        if self.silent:
            return None
        found = self.changes.setdefault(repository, [])
        with suppress(AssertionError):
            await becomes(lambda: complete(tuple(found[int(position) :])), "the registry's report", REPORT_PATIENCE)
            return tuple(found[int(position) :])
        return None

    def add(self, body: bytes) -> None:
        """Add what one notification says."""
        for event in parse_notification(body).events:
            self.changes.setdefault(event.repository, []).extend(changes_in(event))


class _Handler(http.server.BaseHTTPRequestHandler):
    """Takes notifications."""

    reports: TagReports

    def do_POST(self) -> None:
        """Take one."""
        self.reports.add(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def reporting(binary: Path) -> Iterator[tuple[RealRegistry, TagReports]]:
    """Run a registry that reports."""
    reports = TagReports()
    handler = type("Handler", (_Handler,), {"reports": reports})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/events/registry"
            with running(binary, EventsValues(url, "a bearer")) as registry:
                yield registry, reports
        finally:
            server.shutdown()
            thread.join(PATIENCE)
