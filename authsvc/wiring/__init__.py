"""The composition root: settings in, live objects out. The only room that knows every other.

Two doors, so that a command of the vendor's does not load a web server: :mod:`~authsvc.wiring.server` and
:mod:`~authsvc.wiring.management`.
"""

from datetime import UTC, datetime

NO_REGISTRY = "the address of the registry is not set (AUTHSVC_REGISTRY_URL), so it cannot be asked"


def clock() -> datetime:
    """Read the wall clock, once for each request, change or certificate."""
    return datetime.now(UTC)
