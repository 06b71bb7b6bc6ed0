"""The composition root: settings in, live objects out. The only room that knows every other.

Two doors, so that a command of the vendor's does not load a web server: :mod:`~authsvc.wiring.server` and
:mod:`~authsvc.wiring.management`.
"""

from datetime import UTC, datetime


def clock() -> datetime:
    """Read the wall clock, once for each request, change or certificate."""
    return datetime.now(UTC)
