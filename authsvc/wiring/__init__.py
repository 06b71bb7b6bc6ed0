"""The composition root: makes live objects from settings. Only this package imports all others.

It has two entry points, so that a command does not load a web server: :mod:`~authsvc.wiring.server` and
:mod:`~authsvc.wiring.management`.
"""

from datetime import UTC, datetime

NO_REGISTRY = "the address of the registry is not set (AUTHSVC_REGISTRY_URL), so it cannot be asked"


def clock() -> datetime:
    """Read the wall clock, once for each request, change or certificate."""
    return datetime.now(UTC)
